"""Operations: the sentences in which several rooms act together.

Each file is one verb. An operation takes a `Deployment` of ready tools and a request, writes rows
and facts in one transaction, and returns what it did; it prints nothing and knows no vendor.
"""
