"""The processes beside the gateway: workers make generations, caretakers pick up what was left undone."""
