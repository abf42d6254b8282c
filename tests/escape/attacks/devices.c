// Devices: those of the machine, one made by mknod, and the launcher's terminal.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

static void Disk(void) {
  static const char* const kDisks[] = {"/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/xvda", "/dev/mmcblk0"};
  for (size_t i = 0; i < sizeof kDisks / sizeof *kDisks; ++i) ReportOpen(kDisks[i], O_RDONLY);
}

static void Memory(void) { ReportOpen("/dev/mem", O_RDONLY); }
static void Log(void) { ReportOpen("/dev/kmsg", O_RDONLY); }
static void VirtualMachines(void) { ReportOpen("/dev/kvm", O_RDWR); }
static void Fuse(void) { ReportOpen("/dev/fuse", O_RDWR); }
static void Tunnel(void) { ReportOpen("/dev/net/tun", O_RDWR); }
static void LoopDevices(void) { ReportOpen("/dev/loop-control", O_RDWR); }
static void Mapper(void) { ReportOpen("/dev/mapper/control", O_RDWR); }
static void Console(void) { ReportOpen("/dev/console", O_RDWR); }
static void Input(void) { ReportOpen("/dev/uinput", O_RDWR); }
static void FaultDevice(void) { ReportOpen("/dev/userfaultfd", O_RDWR); }
static void Vhost(void) { ReportOpen("/dev/vhost-vsock", O_RDWR); }
static void Ports(void) { ReportOpen("/dev/port", O_RDONLY); }
static void Autofs(void) { ReportOpen("/dev/autofs", O_RDONLY); }
static void PinnedMemory(void) { ReportOpen("/dev/udmabuf", O_RDWR); }
static void Clock(void) { ReportOpen("/dev/rtc0", O_RDONLY); }
static void Terminals(void) { ReportOpen("/dev/ptmx", O_RDWR); }

static void MakesDevice(void) {
  char path[128];
  snprintf(path, sizeof path, "/tmp/device-%s", Nonce());
  // The same as /dev/kmsg; a device that does no harm would be no proof, and this one is not read.
  if (!Step("mknod", mknod(path, S_IFCHR | 0600, makedev(1, 11)))) return;
  ReportOpen(path, O_RDONLY);
  unlink(path);
}

// The stage has a terminal for these, and looks what was typed.
static void Type(unsigned long request) {
  char text[64];
  snprintf(text, sizeof text, "%s\n", Nonce());
  for (const char* at = text; *at != '\0'; ++at) {
    // Raw: the C library passes 64 bits, the kernel takes 32.
    if (!Step("TIOCSTI", syscall(SYS_ioctl, STDIN_FILENO, request, at))) return;
  }
  Succeeded("TIOCSTI");
}

static void Types(void) { Type(TIOCSTI); }
static void TypesWithHighBits(void) { Type(TIOCSTI | (1UL << 32)); }

static void SetsDiscipline(void) {
  const int ordinary = 0;  // N_TTY, which it has. Others are modules, loaded on demand.
  Report("TIOCSETD", ioctl(STDIN_FILENO, TIOCSETD, &ordinary));
}

static void OpensTerminal(void) { ReportOpen("/dev/tty", O_RDWR); }

static void StealsTerminal(void) {
  setsid();
  Report("TIOCSCTTY", ioctl(STDIN_FILENO, TIOCSCTTY, 1));
}

const struct Attack kDevices[] = {
    {"disk", Disk, kClaim, kMachine, "opens the machine's disk", "minimal /dev", NULL, NULL},
    {"dev-mem", Memory, kClaim, kMachine, "opens physical memory", "minimal /dev", NULL, NULL},
    {"dev-kmsg", Log, kClaim, kMachine, "opens the kernel's log", "minimal /dev", NULL, NULL},
    {"dev-kvm", VirtualMachines, kClaim, kMachine, "opens KVM", "minimal /dev", NULL, NULL},
    {"dev-fuse", Fuse, kClaim, kMachine, "opens FUSE", "minimal /dev", NULL, NULL},
    {"dev-tun", Tunnel, kClaim, kMachine, "opens the maker of network interfaces", "minimal /dev", NULL, NULL},
    {"dev-loop", LoopDevices, kClaim, kMachine, "opens the maker of loop devices", "minimal /dev", NULL, NULL},
    {"dev-mapper", Mapper, kClaim, kMachine, "opens the device mapper", "minimal /dev", NULL, NULL},
    {"dev-console", Console, kClaim, kMachine, "opens the machine's console", "minimal /dev", NULL, NULL},
    {"dev-uinput", Input, kClaim, kMachine, "opens the maker of keyboards", "minimal /dev", NULL, NULL},
    {"dev-userfaultfd", FaultDevice, kClaim, kMachine, "opens userfaultfd as a device", "minimal /dev", NULL, NULL},
    {"dev-vhost-vsock", Vhost, kClaim, kMachine, "opens a device of virtual machines", "minimal /dev", NULL, NULL},
    {"dev-port", Ports, kClaim, kMachine, "opens all I/O ports", "minimal /dev", NULL, NULL},
    {"dev-autofs", Autofs, kClaim, kMachine, "opens the automounter", "minimal /dev", NULL, NULL},
    {"dev-udmabuf", PinnedMemory, kClaim, kMachine, "opens the maker of pinned memory", "minimal /dev", NULL, NULL},
    {"dev-rtc", Clock, kClaim, kMachine, "opens the machine's clock", "minimal /dev", NULL, NULL},
    {"dev-ptmx", Terminals, kClaim, kMachine, "makes a terminal", "minimal /dev", NULL, NULL},
    {"makes-device", MakesDevice, kClaim, kRoot, "makes a device file and opens it", "no capabilities, nodev", NULL, NULL},
    {0}};

const struct Attack kTerminal[] = {
    {"tiocsti", Types, kOutside, kMachine, "types into the launcher's terminal", "system call filter, session of its own", NULL, NULL},
    {"tiocsti-high-bits", TypesWithHighBits, kOutside, kMachine, "the same, with a bit that the kernel ignores", "system call filter", NULL, NULL},
    {"line-discipline", SetsDiscipline, kClaim, kMachine, "sets a terminal's line discipline", "system call filter", NULL, NULL},
    {"dev-tty", OpensTerminal, kClaim, kAnywhere, "opens the launcher's terminal as /dev/tty", "session of its own, minimal /dev", NULL, NULL},
    {"steals-terminal", StealsTerminal, kClaim, kRoot, "takes the launcher's terminal for itself", "no capabilities", NULL, NULL},
    {0}};
