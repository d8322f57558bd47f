"""The processes beside the gateway: workers run generations, caretakers recover what crashes leave behind."""
