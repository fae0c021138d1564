"""HTTP requests that are limited in time and bytes, whatever a server sends; see `ppp.bounded_http.session`."""
