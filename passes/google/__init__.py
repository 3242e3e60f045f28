"""Google Wallet: documents, save links, the REST client, and callbacks.

Facts come from the API's own description (walletobjects v1, revision 20260806)
and Google's pages for loyalty cards. Only `client.py` opens connections.
"""
