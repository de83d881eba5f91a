"""``item-serve``: an index as a search service and a page.

``engine``    one index with its model and images, and answers from them
``filters``   which items have which values in which columns
``images``    the items' images, small
``reload``    takes up an index that was rebuilt
``limits``    how much work is taken on, and what a query may be
``together``  alike queries that wait are answered at once
``guard``     who may ask, and the headers that keep browsers safe
``metrics``   what Prometheus reads
``schemas``   what the API answers, for its description
``app``       the routes
``client``    the API from Python
"""
