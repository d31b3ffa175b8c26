"""Places to keep objects in: directories and object stores.

`directory` and `object_store` stay apart, because the second loads a vendor's library that most
commands never need; `app/` picks one by the scheme of the URL.
"""
