"""The embedded bus: the part of Pub/Sub that CoworkAI uses, on one machine, over real HTTP.

publish (REST) ─▶ queue (SQLite, sealed) ─▶ pusher, one a subscription ─▶ POST ─▶ acknowledge, retry, bury
"""
