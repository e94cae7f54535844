"""The target ``canister``: the suite plays gateways and clients, honest and hostile, for a canister on any replica.

What it verifies with is its own: :mod:`.candid` reads the answers and :mod:`.certificate` the certificates, with no
code of the kit that may be under test. Keys, principals, signatures of requests and the pairing are the library's.
"""
