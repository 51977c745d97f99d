# SPDX-License-Identifier: MIT
"""An application whose workers each have a pool: gunicorn --preload loads it once, and forks."""
import multiprocessing
import threading

lock, pools = threading.Lock(), []


class Answer:
    def __init__(self, number):
        self.text = f"{number * number}\n"


def work(number):
    return Answer(number)


def app(environ, start_response):
    with lock:
        if not pools:
            pools.append(multiprocessing.get_context("forkserver").Pool(2))
    number = int(environ["PATH_INFO"].strip("/"))
    answer = pools[0].apply_async(work, (number,)).get(20)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.text.encode()]
