"""Boots a Linux of its own in QEMU and runs commands there.

The guest has cgroup v2 with all controllers, which the machine that runs the tests may not have. Its system is made of
this machine's essential packages and the runfiles of a test, on an ext4 image that `mke2fs -d` fills without a mount.
It has no network and no initramfs: Debian's cloud kernel has NVMe and ext4 built in.
"""

import os
import re
import shutil
import stat
import subprocess
import tempfile
import time

# What the init of the guest writes on its console.
UP = "brood-guest: up"
DONE = "brood-guest: done"
UP_SECONDS = {"kvm": 10, "tcg": 120}
# Enough for the tests, and for a machine that runs others at the same time.
MEMORY_MIB = 1536
# As mitigations=off, but for the control of store bypass, which tests want.
FEWER_MITIGATIONS = "nopti nospectre_v1 nospectre_v2 retbleed=off spec_rstack_overflow=off"
IMAGE_MIB = 1024
SWAP_MIB = 512

# Packages beside the essential ones, whose programs the tests start.
MORE_PACKAGES = ["apparmor", "busybox-static", "libc6", "mount", "passwd", "procps", "python3-minimal", "python3.11-minimal", "libpython3.11-minimal"]
LEFT_OUT = re.compile(r"^/usr/share/(doc|man|locale|info|lintian)/|^/usr/share/i18n/")


class Unavailable(Exception):
    """No guest can be had here; the text says why."""


def find(program):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        raise Unavailable("%s is not installed: tools/setup guest" % program)
    return path


def package_files(packages):
    """Paths of all files of installed packages."""
    listing = subprocess.run(["dpkg-query", "-L"] + packages, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return [line for line in listing.stdout.splitlines() if line.startswith("/")]


def essential_packages():
    listing = subprocess.run(["dpkg-query", "-W", "-f", "${Essential} ${Package}\n"], stdout=subprocess.PIPE, text=True, check=True)
    return [line.split()[1] for line in listing.stdout.splitlines() if line.startswith("yes ")]


def libraries(programs):
    """Shared libraries of ELF files, by the loader's own account."""
    listing = subprocess.run(["ldd"] + programs, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return set(re.findall(r"(/\S+) \(0x", listing.stdout))


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def copy_file(path, root):
    """Copies one file of this machine to the same place below `root`; links along the way become links."""
    # /lib/x may be /usr/lib/x by a link that the new root has as well.
    place = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    target = root + place
    if os.path.lexists(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(place):
        os.symlink(os.readlink(place), target)
        copy_file(os.path.realpath(place), root)
    elif os.path.isfile(place) and os.access(place, os.R_OK):
        shutil.copy2(place, target)


def make_root(root, runfiles, module):
    """Fills the directory `root` with a system, the runfiles, and a module of the kernel as /overlay.ko."""
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if os.path.islink("/" + name):
            os.symlink(os.readlink("/" + name), os.path.join(root, name))
            os.makedirs(os.path.join(root, os.readlink("/" + name)), exist_ok=True)
    for name in ("dev", "proc", "sys", "tmp", "run", "out", "root", "home", "etc", "var/tmp", "usr/local/bin"):
        os.makedirs(os.path.join(root, name), exist_ok=True)
    shutil.copytree(runfiles, os.path.join(root, "runfiles"), symlinks=False)
    shutil.copy(module, os.path.join(root, "overlay.ko"))

    for path in package_files(essential_packages() + MORE_PACKAGES):
        if not os.path.isdir(path) and os.path.exists(path) and not LEFT_OUT.match(path):
            copy_file(path, root)
    for path in ("/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/localtime"):
        if os.path.exists(path):
            copy_file(path, root)
    with open(os.path.join(root, "etc/passwd"), "w") as file:
        file.write("root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
    with open(os.path.join(root, "etc/group"), "w") as file:
        file.write("root:x:0:\nnogroup:x:65534:\n")
    # Every Debian has it, and the policies show it.
    with open(os.path.join(root, "etc/hostname"), "w") as file:
        file.write("guest\n")
    with open(os.path.join(root, "etc/shadow"), "w") as file:
        file.write("root:*:19000:0:99999:7:::\n")
    os.chmod(os.path.join(root, "etc/shadow"), 0o600)

    programs = []
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode) and (mode & 0o111 or ".so" in name) and is_elf(path):
                programs.append(path)
    for path in libraries(programs):
        copy_file(path, root)
        copy_file(os.path.realpath(path), root)


def make_image(image, root, init):
    """An ext4 file system with the content of `root`, owned by root, and `init` as /sbin/guest-init."""
    path = os.path.join(root, "usr/sbin/guest-init")
    with open(path, "w") as file:
        file.write(init)
    os.chmod(path, 0o755)
    for name in ("tmp", "var/tmp"):
        os.chmod(os.path.join(root, name), 0o1777)
    command = [find("mke2fs"), "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", root]
    # Who runs the tests does not matter inside.
    command += ["-E", "root_owner=0:0,lazy_itable_init=1", image, "%dM" % IMAGE_MIB]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def accelerators():
    """What QEMU may use, best first."""
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        return ["kvm", "tcg"]
    return ["tcg"]


def wait_for(qemu, log, text, patience):
    """Whether `text` came on the guest's console before it ended or `patience` seconds were over."""
    end = time.monotonic() + patience
    while True:
        ended = qemu.poll() is not None
        with open(log, errors="replace") as file:
            if text in file.read():
                return True
        if ended or time.monotonic() > end:
            return False
        time.sleep(0.1)


def boot(kernel, image, swap, log, accelerator, patience):
    """Runs the guest until it powers off. Returns whether it came up, and whether it said that it was done."""
    command = [find("qemu-system-x86_64"), "-accel", accelerator, "-m", "%dM" % MEMORY_MIB, "-smp", "2"]
    # Of this family the kernel has a control of store bypass, whatever else is emulated. arch/x86/kernel/cpu/amd.c, bsp_init_amd()
    command += ["-cpu", "host" if accelerator == "kvm" else "max,family=23,model=1,stepping=2"]
    command += ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none"]
    command += ["-serial", "file:" + log, "-kernel", kernel]
    for name, path in (("root", image), ("swap", swap)):
        command += ["-drive", "if=none,format=raw,cache=unsafe,id=%s,file=%s" % (name, path)]
        command += ["-device", "nvme,serial=%s,drive=%s" % (name, name)]
    arguments = "console=ttyS0 quiet root=/dev/nvme0n1 rootfstype=ext4 rw init=/usr/sbin/guest-init panic=-1"
    command += ["-append", arguments + " cgroup_no_v1=all " + FEWER_MITIGATIONS]
    with open(log + ".qemu", "w") as messages:
        qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages)
    try:
        with open(log, "a"):
            pass
        # A virtual machine in a virtual machine may hang in its first instructions.
        if not wait_for(qemu, log, UP, UP_SECONDS[accelerator]):
            return False, False
        return True, wait_for(qemu, log, DONE, patience) and qemu.wait(timeout=30) == 0
    finally:
        if qemu.poll() is None:
            qemu.kill()
        qemu.wait()


def take_out(image, directory, into):
    """Copies a directory out of an image without mounting it."""
    subprocess.run([find("debugfs"), "-R", "rdump %s %s" % (directory, into), image], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run(kernel, runfiles, init, into, patience):
    """Boots a guest that runs the script `init`, which leaves its results in /out. Copies that below `into`.

    Raises Unavailable if nothing here can boot it, RuntimeError with the end of its log if it did not come to an end.
    """
    for program in ("qemu-system-x86_64", "mke2fs", "debugfs"):
        find(program)
    with tempfile.TemporaryDirectory(prefix="brood-guest.") as work:
        root, image, swap, log = (os.path.join(work, name) for name in ("root", "image", "swap", "console"))
        os.mkdir(root)
        make_root(root, runfiles, kernel + ".overlay.ko")
        make_image(image, root, init)
        with open(swap, "wb") as file:
            file.truncate(SWAP_MIB << 20)
        for accelerator in accelerators():
            up, done = boot(kernel, image, swap, log, accelerator, patience)
            if up:
                break
        with open(log, errors="replace") as file:
            lines = file.read().splitlines()
        shutil.copy(log, os.path.join(into, "console"))
        if done:
            take_out(image, "/out", into)
        elif up:
            raise RuntimeError("the guest did not come to an end: " + " / ".join(lines[-5:]))
        else:
            with open(log + ".qemu") as file:
                lines += file.read().splitlines()
            raise RuntimeError("the guest did not come up: " + " / ".join(lines[-5:]))
