"""Programs that a measurement starts, and what it waits for."""
import pathlib, shutil, socket, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
work = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
started = []


def need(program, package):
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if not found:
        sys.exit(f"tests/speed/bench: {program} is missing; tests/tools/install bench, or apt-get install {package}")
    return found


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
    sys.exit(f"tests/speed/bench: nothing listens on port {port}")


def start(command, out=subprocess.DEVNULL):
    process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=subprocess.DEVNULL, cwd=ROOT)
    started.append(process)
    return process


def stop(process):
    process.terminate()
    process.wait()
    started.remove(process)


def clean():
    for process in list(started):
        stop(process)
    shutil.rmtree(work, ignore_errors=True)
