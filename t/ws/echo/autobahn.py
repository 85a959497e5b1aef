"""Runs the cases of the installed autobahntestsuite against an echo server.

    autobahn.py URL_HOST PORT PATH

The package is written for Python 2 and for the Autobahn library of its time.
What counts of it are its cases: each is a class that tells a protocol object
what to send and judges what came back. Here they are loaded as they are, with
Python 2's meaning of a string (bytes, as latin-1), and the protocol object is
our own. Prints a line for each case: NUMBER VERDICT CLOSE_VERDICT, and why.
"""

import array
import asyncio
import builtins
import importlib.metadata
import importlib.util
import os
import re
import struct
import sys
import types

HOST, PORT, PATH = sys.argv[1], int(sys.argv[2]), sys.argv[3]
SKIP = re.compile(r"case(9|12|13)_")  # performance, compression
AT_ONCE = 16
DEADLINE = 60  # s; what the cases call so is a tenth of it

STATE_CLOSED, STATE_CONNECTING, STATE_CLOSING, STATE_OPEN = range(4)


# ------------------------------------------------------ loading the cases

class Python2Array(array.array):
    def tostring(self):
        return self.tobytes().decode("latin-1")


class Utf8Validator:
    def reset(self):
        pass

    def validate(self, text):
        """(valid so far, ends with a whole character, ...)"""
        try:
            text.encode("latin-1").decode("utf-8")
            return True, True
        except UnicodeDecodeError as error:
            return error.reason == "unexpected end of data", False


def module(name, **members):
    made = types.ModuleType(name)
    made.__dict__.update(members)
    return made


def python2_type(*args):
    if len(args) != 3:
        return type(*args)
    name, bases, members = args
    return type(name, tuple(b for b in bases if b is not object), members)


STATES = types.SimpleNamespace(
    STATE_CLOSED=STATE_CLOSED, STATE_CONNECTING=STATE_CONNECTING,
    STATE_CLOSING=STATE_CLOSING, STATE_OPEN=STATE_OPEN)
STAND_INS = {
    "array": module("array", array=Python2Array),
    "binascii": module("binascii", b2a_hex=lambda text: text.encode("latin-1").hex()),
    "autobahn.websocket.protocol": module("protocol", WebSocketProtocol=STATES),
    "autobahn.websocket.utf8validator": module("utf8validator", Utf8Validator=Utf8Validator),
}


class Cases:
    def __init__(self):
        root = importlib.util.find_spec("autobahntestsuite").submodule_search_locations[0]
        self.folder = os.path.join(root, "case")
        self.loaded = dict(STAND_INS)
        self.builtins = dict(vars(builtins), xrange=range, unichr=chr, type=python2_type,
                             __import__=self.find)

    def find(self, name, *args):
        if name not in self.loaded and os.path.exists(os.path.join(self.folder, name + ".py")):
            self.load(name)
        return self.loaded[name] if name in self.loaded else __import__(name, *args)

    def load(self, name):
        path = os.path.join(self.folder, name + ".py")
        with open(path, encoding="latin-1") as file:
            text = file.read()
        # Python 2's division of whole numbers, and its print
        text = re.sub(r"\) / self", ") // self", text)
        text = re.sub(r"(?m)^(\s*)print .*$", r"\1pass", text)
        made = module(name, __builtins__=self.builtins)
        self.loaded[name] = made
        exec(compile(text, path, "exec"), made.__dict__)
        return made

    def all(self):
        found = {}
        for file in sorted(os.listdir(self.folder)):
            name = file[:-3]
            if file.startswith("case") and file.endswith(".py") and not SKIP.match(name):
                for key, value in vars(self.find(name)).items():
                    self.collect(found, key, value)
        return sorted(found.items())

    @staticmethod
    def collect(found, key, value):
        for one in value if isinstance(value, list) else [value]:
            number = getattr(one, "__name__", "") if isinstance(one, type) else ""
            if re.fullmatch(r"Case(\d+_)+\d+", number):
                found[tuple(int(n) for n in number[4:].split("_"))] = one


# ---------------------------------------------------------- the protocol

class Protocol:
    """What a case talks to: one connection, strings as latin-1."""

    CLOSE_STATUS_CODE_NORMAL = 1000
    CLOSE_STATUS_CODE_PROTOCOL_ERROR = 1002
    CLOSE_STATUS_CODE_INVALID_PAYLOAD = 1007

    def __init__(self):
        self.state = STATE_CONNECTING
        self.factory = types.SimpleNamespace(isServer=False)
        self.connectionWasOpen = self.closedByMe = self.failedByMe = False
        self.droppedByMe = self.wasClean = False
        self.localCloseCode = self.localCloseReason = None
        self.remoteCloseCode = self.remoteCloseReason = None
        self.autoFragmentSize = 0
        self.txFrameStats = {}
        self.message = None

    # sending

    def raw(self, data):
        if self.state != STATE_CLOSED:
            self.writer.write(data)

    def head(self, opcode, length, fin=True, rsv=0):
        first = (0x80 if fin else 0) | rsv << 4 | opcode
        self.txFrameStats[opcode] = self.txFrameStats.get(opcode, 0) + 1
        if length < 126:
            return struct.pack("!BB", first, 0x80 | length)
        if length < 65536:
            return struct.pack("!BBH", first, 0xfe, length)
        return struct.pack("!BBQ", first, 0xff, length)

    def masked(self, data, turn=0):
        return bytes(byte ^ self.mask[(turn + i) % 4] for i, byte in enumerate(data))

    def sendFrame(self, opcode, payload="", fin=True, rsv=0, mask=None, payload_len=None,
                  chopsize=None, sync=False):
        data = payload.encode("latin-1")
        if payload_len is not None and data:
            data = (data * (payload_len // len(data) + 1))[:payload_len]
        self.mask = mask or os.urandom(4)
        frame = self.head(opcode, len(data), fin, rsv) + self.mask + self.masked(data)
        for at in range(0, len(frame), chopsize or len(frame)):
            self.raw(frame[at:at + (chopsize or len(frame))])

    def sendMessage(self, payload, isBinary=False, **_):
        opcode, size = 2 if isBinary else 1, self.autoFragmentSize or len(payload) or 1
        parts = [payload[i:i + size] for i in range(0, len(payload), size)] or [""]
        for i, part in enumerate(parts):
            self.sendFrame(opcode if i == 0 else 0, part, fin=i == len(parts) - 1)

    def beginMessage(self, isBinary=False, **_):
        self.begun = 2 if isBinary else 1

    def beginMessageFrame(self, length):
        self.mask, self.turn = os.urandom(4), 0
        self.raw(self.head(self.begun, length) + self.mask)

    def sendMessageFrameData(self, payload, sync=False):
        data = payload.encode("latin-1")
        self.raw(self.masked(data, self.turn))
        self.turn += len(data)

    def endMessage(self):
        pass

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        if self.state != STATE_OPEN:
            return
        payload = "" if code is None else struct.pack("!H", code).decode("latin-1")
        self.sendFrame(8, payload + (reasonUtf8 or ""))
        self.localCloseCode, self.localCloseReason = code, reasonUtf8
        self.closedByMe = not isReply
        self.state = STATE_CLOSING

    def sendClose(self, code=None, reason=None):
        self.sendCloseFrame(code, reason)

    # time

    def later(self, delay, run):
        asyncio.get_running_loop().call_later(delay, lambda: self.state != STATE_CLOSED and run())

    def continueLater(self, delay, run, tag=None):
        self.later(delay, run)

    def closeAfter(self, delay):
        self.later(delay, lambda: self.state == STATE_OPEN and self.sendClose())

    def killAfter(self, delay):
        """A guard, not a measure: see DEADLINE."""

    def kill(self):
        self.failedByMe = self.droppedByMe = True
        self.writer.transport.abort()

    # receiving

    async def frame(self):
        first, length = await self.reader.readexactly(2)
        if length & 0x80:
            raise ValueError("a masked frame from the server")
        if length == 126:
            length, = struct.unpack("!H", await self.reader.readexactly(2))
        elif length == 127:
            length, = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 0x80, first & 15, (await self.reader.readexactly(length)).decode("latin-1")

    def received(self, case, fin, opcode, payload):
        if opcode == 8:
            code = payload[:2].encode("latin-1")
            self.remoteCloseCode = struct.unpack("!H", code)[0] if code else None
            self.remoteCloseReason = payload[2:]
            self.wasClean = True
            self.sendCloseFrame(self.remoteCloseCode, isReply=True)
        elif opcode == 9:
            self.sendFrame(10, payload)  # the heartbeat
        elif opcode == 10:
            case.onPong(payload)
        else:
            if opcode:
                self.message = [opcode == 2, ""]
            self.message[1] += payload
            if fin:
                case.onMessage(self.message[1], self.message[0])

    async def run(self, Case):
        self.reader, self.writer = await asyncio.open_connection(HOST, PORT, limit=1 << 24)
        self.writer.write((f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\n"
                           "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ValueError(head)
        self.state, self.connectionWasOpen = STATE_OPEN, True
        Case.compare = lambda case, one, other: one == other
        case = Case(self)
        guard = asyncio.get_running_loop().call_later(DEADLINE, self.kill)
        case.onOpen()
        try:
            while True:
                self.received(case, *await self.frame())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        guard.cancel()
        self.state = STATE_CLOSED
        self.writer.close()
        case.onConnectionLost(self.failedByMe)
        return case


async def main():
    sys.path.insert(0, os.getcwd())
    turn = asyncio.Semaphore(AT_ONCE)
    cases = Cases().all()
    print("autobahntestsuite", importlib.metadata.version("autobahntestsuite"), len(cases))

    async def one(number, Case):
        async with turn:
            case = await Protocol().run(Case)
        name = ".".join(map(str, number))
        print(f"{name}\t{case.behavior}\t{case.behaviorClose}\t{case.result} {case.resultClose}")

    await asyncio.gather(*(one(*case) for case in cases))


asyncio.run(main())
