"""Runs one module of Python's regression tests, one RESULT line per test.

A child process runs the tests; this one watches it. A test that hangs or takes
its process down is noted, and the rest goes on in a new child.
"""
import os
import select
import subprocess
import sys
import unittest
import warnings

LIMIT_S = 60


class Result(unittest.TestResult):
    """Writes a line before and after every test."""

    def __init__(self, channel):
        super().__init__()
        self.channel = channel

    def say(self, word, test):
        os.write(self.channel, ("%s %s\n" % (word, test.id().split(" ")[0])).encode())

    def startTest(self, test):
        super().startTest(test)
        self.word = "ok"
        self.say("START", test)

    def stopTest(self, test):
        self.say("RESULT " + self.word, test)
        super().stopTest(test)

    def note(self, word, test, err):
        self.word = word
        text = self._exc_info_to_string(err, test) if isinstance(test, unittest.TestCase) else str(err)
        sys.stderr.write("%s %s\n%s\n" % (word, test, text))

    def addError(self, test, err):
        super().addError(test, err)
        self.note("error", test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note("fail", test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note("fail", test, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.word = "skipped"

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.word = "expected"

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.word = "unexpected"


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def child(channel, module, words):
    done = set(sys.stdin.read().split())
    sys.stdin.close()
    os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(channel, False)
    warnings.simplefilter("ignore")
    from test import support
    support.verbose = False
    support.use_resources = []
    tests = flatten(unittest.defaultTestLoader.loadTestsFromName("test." + module))
    wanted = [test for test in tests if test.id() not in done]
    if words:
        wanted = [test for test in wanted if any(word in test.id() for word in words)]
    unittest.TestSuite(wanted).run(Result(channel))
    os.write(channel, b"END\n")


def start(module, words, done):
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", str(writer), module] + words,
        stdin=subprocess.PIPE, pass_fds=[writer], start_new_session=True)
    os.close(writer)
    process.stdin.write("\n".join(done).encode())
    process.stdin.close()
    return process, reader


def watch(module, words):
    done = []
    while True:
        process, reader = start(module, words, done)
        running, buffered, ended, hung = None, b"", False, False
        while True:
            if not select.select([reader], [], [], LIMIT_S)[0]:
                hung = True
                break
            data = os.read(reader, 65536)
            if not data:
                break
            buffered += data
            *lines, buffered = buffered.split(b"\n")
            for line in lines:
                line = line.decode()
                if line.startswith("START "):
                    running = line[6:]
                elif line.startswith("RESULT "):
                    print(line, flush=True)
                    done.append(running)
                    running = None
                elif line == "END":
                    ended = True
            if ended:
                break
        try:
            process.wait(None if not ended and not hung else 5)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(process.pid, 9)
        except OSError:
            pass
        process.wait()
        os.close(reader)
        if ended:
            return
        if running is None:
            print("RESULT", "stopped", "(between tests)", flush=True)
            return
        print("RESULT", "hung" if hung else "died", running, flush=True)
        done.append(running)


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        child(int(sys.argv[2]), sys.argv[3], sys.argv[4:])
    else:
        watch(sys.argv[1], sys.argv[2:])
