"""Cases in which the suite is the canister itself, and the IC and the gateways around it, for one session.

Nothing is real but the keys: what is certified is what a case says, at the time that it says. So a canister that has
lost its state, an acknowledgement that comes at once or a head of the day after tomorrow take no longer than any
message.
"""
