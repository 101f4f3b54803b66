"""The shapes of requests and answers: answers are made of them, requests checked by them, and /openapi.json
tells of both.
"""
