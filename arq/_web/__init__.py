"""The dashboard: pages, actions and what keeps them safe. Needs the extra `web`; `arq.web` is its public face."""
