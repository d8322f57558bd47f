"""The processes beside the gateway: workers make generations, caretakers look after what was left undone."""
