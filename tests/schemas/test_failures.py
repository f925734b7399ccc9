"""What a failure is decides what becomes of the job."""

import errno
import http.client
import socket
import ssl

import botocore.exceptions
import pymysql
import pytest
import requests
import urllib3
from datajoint.errors import DataJointError, LostConnectionError

from pipeline.nwb import ReadError
from pipeline.training import OutOfMemory
from schemas._failures import TRIES, Stopped, classify, delay_s
from schemas._lease import LeaseLost


def http_error(status):
    answer = requests.Response()
    answer.status_code = status
    return requests.HTTPError("from the server", response=answer)


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (LostConnectionError("gone"), "transient"),
        (pymysql.err.OperationalError(1213, "Deadlock found"), "transient"),
        (pymysql.err.OperationalError(1205, "Lock wait timeout exceeded"), "transient"),
        (pymysql.err.OperationalError(4031, "disconnected because of inactivity"), "transient"),
        (pymysql.err.InterfaceError(0, ""), "transient"),
        (pymysql.err.ProgrammingError(1064, "syntax"), "permanent"),
        (DataJointError("Failed! The `make_fetch` data has changed"), "transient"),
        (DataJointError("no such attribute"), "permanent"),
        (caused(RuntimeError("x"), socket.gaierror(socket.EAI_AGAIN, "no name")), "transient"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), "transient"),
        (
            caused(
                requests.exceptions.SSLError("x"), ssl.SSLCertVerificationError(1, "self-signed")
            ),
            "permanent",
        ),
        (http.client.IncompleteRead(b"half"), "transient"),
        (requests.exceptions.ChunkedEncodingError("broken"), "transient"),
        (requests.exceptions.InvalidURL("no host"), "permanent"),
        (urllib3.exceptions.ProtocolError("broken"), "transient"),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="s3"), "transient"),
        (botocore.exceptions.ResponseStreamingError(error="cut"), "transient"),
        (botocore.exceptions.NoCredentialsError(), "permanent"),
        (http_error(503), "transient"),
        (http_error(429), "transient"),
        (http_error(404), "permanent"),
        (requests.ConnectionError("refused"), "transient"),
        (requests.ReadTimeout("slow"), "transient"),
        (TimeoutError("slow"), "transient"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "transient"),
        (caused(RuntimeError("could not read"), http_error(502)), "transient"),
        (OSError(errno.ENOSPC, "no space"), "full"),
        (caused(RuntimeError("could not write"), OSError(errno.EDQUOT, "quota")), "full"),
        (Stopped("SIGTERM"), "stopped"),
        (KeyboardInterrupt(), "stopped"),
        (LeaseLost("another has it"), "lost"),
        (ReadError("open", "no HDF5", "download it again"), "permanent"),
        (ValueError("a span of 10 steps needs as many"), "permanent"),
        (MemoryError("out of memory"), "permanent"),
        (FileNotFoundError(errno.ENOENT, "no such file"), "permanent"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, BaseException) else value,
)
def test_an_exception_is_sorted_by_whether_trying_again_helps(error, kind):
    assert classify(error).kind == kind


def test_a_failure_names_stage_message_and_way_out():
    failure = classify(ReadError("open", "no HDF5 file", "download it again"))
    assert (failure.stage, failure.message) == ("open", "no HDF5 file")
    assert failure.way_out == "download it again"
    assert classify(ValueError("three\nlines\nof text")).message == "three lines of text"


@pytest.mark.parametrize("error", [ValueError("bad"), MemoryError(), OutOfMemory("full")], ids=repr)
def test_what_no_trying_again_helps_has_a_way_out_too(error):
    way_out = classify(error).way_out
    assert "`fieldbase retry`" in way_out
    assert ("memory" in way_out) == isinstance(error, OutOfMemory)


def test_the_pause_between_tries_grows_and_ends():
    pauses = [delay_s(attempt) for attempt in range(1, TRIES + 1)]
    assert pauses[-1] is None
    assert pauses[:-1] == sorted(pauses[:-1])
    assert len(set(pauses)) == TRIES
