// Namespaces and mounts.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static void Unshare(const char* name, int flag) { Report(name, unshare(flag)); }
static void User(void) { Unshare("CLONE_NEWUSER", CLONE_NEWUSER); }
static void Pid(void) { Unshare("CLONE_NEWPID", CLONE_NEWPID); }
static void Mount(void) { Unshare("CLONE_NEWNS", CLONE_NEWNS); }
static void Net(void) { Unshare("CLONE_NEWNET", CLONE_NEWNET); }
static void Ipc(void) { Unshare("CLONE_NEWIPC", CLONE_NEWIPC); }
static void Uts(void) { Unshare("CLONE_NEWUTS", CLONE_NEWUTS); }
static void Cgroup(void) { Unshare("CLONE_NEWCGROUP", CLONE_NEWCGROUP); }
static void Time(void) { Unshare("CLONE_NEWTIME", CLONE_NEWTIME); }
static void Everything(void) { Unshare("all", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS); }

static void Ended(const char* what, long pid) {
  if (pid == 0) _exit(0);
  Report(what, pid);
  if (pid > 0) waitpid((pid_t)pid, NULL, __WALL);
}

static void CloneUser(void) { Ended("clone", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)); }
static void CloneUserHighBits(void) {
  // The kernel takes the lower half of the flags.
  Ended("clone", syscall(SYS_clone, (1UL << 32) | CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}
static void Clone3User(void) {
  // Its flags are in memory, where no filter sees them.
  uint64_t arguments[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0};
  Ended("clone3", syscall(SYS_clone3, arguments, sizeof arguments));
}
static void CloneUntraced(void) { Ended("clone", syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0)); }

static void Enter(const char* kind, int flag) {
  // Of the process outside, and, to see whether the call itself is possible, one's own.
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/ns/%s", NumberFact("victim"), kind);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
    fd = open(path, O_RDONLY | O_CLOEXEC);
  }
  if (Step(path, fd)) Report(path, setns(fd, flag));
}
static void EnterNet(void) { Enter("net", CLONE_NEWNET); }
static void EnterMount(void) { Enter("mnt", CLONE_NEWNS); }
static void EnterPid(void) { Enter("pid", CLONE_NEWPID); }
static void EnterByPidfd(void) {
  const int fd = (int)syscall(SYS_pidfd_open, NumberFact("victim"), 0);
  if (Step("pidfd_open", fd)) Report("setns", setns(fd, CLONE_NEWNET | CLONE_NEWIPC));
}

static char g_point[128];
static bool MakePoint(void) {
  snprintf(g_point, sizeof g_point, "/tmp/point-%s", Nonce());
  return Step("mkdir", mkdir(g_point, 0700));
}
static void RemovePoint(void) {
  umount2(g_point, MNT_DETACH);
  rmdir(g_point);
}

static void MountsTmpfs(void) {
  if (!MakePoint()) return;
  Report("mount", mount("none", g_point, "tmpfs", 0, NULL));
  RemovePoint();
}
static void MountsProc(void) {
  if (!MakePoint()) return;
  Report("mount", mount("none", g_point, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
  RemovePoint();
}
static void Binds(void) {
  if (!MakePoint()) return;
  Report("mount", mount("/", g_point, NULL, MS_BIND | MS_REC, NULL));
  RemovePoint();
}
static void RemountsRoot(void) {
  // With the flags that it has, but never read-only.
  struct statvfs status;
  if (!Step("statvfs", statvfs("/", &status))) return;
  Report("mount", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | (status.f_flag & (MS_NOSUID | MS_NODEV)), NULL));
}
static void RemountsShown(void) {
  const char* path = Fact("shown");
  struct statvfs status;
  if (!Step("statvfs", statvfs(path, &status))) return;
  mount(path, path, NULL, MS_BIND, NULL);
  Report("mount", mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL));
  umount2(path, MNT_DETACH);
}
static void Unmounts(void) {
  // The first call with MNT_EXPIRE marks only, and says EAGAIN or EBUSY. umount2(2).
  ReportReached("umount2", umount2("/proc", MNT_EXPIRE));
}
static void PivotsRoot(void) { ReportReached("pivot_root", syscall(SYS_pivot_root, "/", "/")); }
static void OpensFileSystem(void) { Report("fsopen", syscall(SYS_fsopen, "tmpfs", 1)); }
static void PicksFileSystem(void) { Report("fspick", syscall(SYS_fspick, AT_FDCWD, "/", 1)); }
static void ClonesTree(void) { Report("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1 | O_CLOEXEC | 0x8000)); }
static void MovesMount(void) { ReportReached("move_mount", syscall(SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/nowhere", 0)); }
static void SetsMountAttributes(void) {
  uint64_t attributes[4] = {0, 0, 0, 0};
  Report("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, attributes, sizeof attributes));
}
static void ListsMounts(void) {
  struct {
    uint32_t size, spare;
    uint64_t mnt_id, param, mnt_ns_id;
  } request = {32, 0, UINT64_MAX, 0, 0};
  uint64_t ids[8];
  Report("listmount", syscall(458, &request, ids, 8, 0));
}

static void CopiesTreeWithAttributes(void) {
  // Linux 6.15. OPEN_TREE_CLONE, and no attributes.
  const uint64_t attributes[4] = {0};
  Report("open_tree_attr", syscall(467, AT_FDCWD, "/", 1, attributes, sizeof attributes));
}

const struct Attack kNamespaces[] = {
    {"unshare-user", User, kClaim, kMachine, "makes a user namespace, and is root in it", "system call filter", NULL, NULL},
    {"unshare-all", Everything, kClaim, kMachine, "makes all namespaces at once", "system call filter", NULL, NULL},
    {"unshare-pid", Pid, kClaim, kRoot, "makes a pid namespace", "system call filter", NULL, NULL},
    {"unshare-mount", Mount, kClaim, kRoot, "makes a mount namespace", "system call filter", NULL, NULL},
    {"unshare-net", Net, kClaim, kRoot, "makes a network namespace", "system call filter", NULL, NULL},
    {"unshare-ipc", Ipc, kClaim, kRoot, "makes an ipc namespace", "system call filter", NULL, NULL},
    {"unshare-uts", Uts, kClaim, kRoot, "makes a uts namespace", "system call filter", NULL, NULL},
    {"unshare-cgroup", Cgroup, kClaim, kRoot, "makes a cgroup namespace", "system call filter", NULL, NULL},
    {"unshare-time", Time, kClaim, kMachine, "makes a time namespace", "system call filter", NULL, NULL},
    {"clone-user", CloneUser, kClaim, kMachine, "makes a user namespace by clone", "system call filter", NULL, NULL},
    {"clone-user-high-bits", CloneUserHighBits, kClaim, kMachine, "the same, with a bit that the kernel ignores", "system call filter", NULL, NULL},
    {"clone-pid", CloneUntraced, kClaim, kRoot, "makes a pid namespace by clone", "system call filter", NULL, NULL},
    {"clone3-user", Clone3User, kClaim, kMachine, "makes a user namespace by clone3", "system call filter: ENOSYS", NULL, NULL},
    {"setns-net", EnterNet, kClaim, kRoot, "enters a network namespace", "system call filter", NULL, NULL},
    {"setns-mount", EnterMount, kClaim, kRoot, "enters a mount namespace", "system call filter", NULL, NULL},
    {"setns-pid", EnterPid, kClaim, kRoot, "enters a pid namespace", "system call filter", NULL, NULL},
    {"setns-pidfd", EnterByPidfd, kClaim, kRoot, "enters namespaces by a pidfd", "system call filter, pid namespace", NULL, NULL},
    {"mount-tmpfs", MountsTmpfs, kClaim, kRoot, "mounts a tmpfs", "system call filter", NULL, NULL},
    {"mount-proc", MountsProc, kClaim, kRoot, "mounts a /proc of its own", "system call filter", NULL, NULL},
    {"mount-bind", Binds, kClaim, kRoot, "mounts the root elsewhere", "system call filter", NULL, NULL},
    {"remount-root", RemountsRoot, kClaim, kRoot, "makes the root writable", "system call filter", NULL, NULL},
    {"remount-shown", RemountsShown, kClaim, kRoot, "makes what is shown writable", "system call filter", NULL, NULL},
    {"umount", Unmounts, kClaim, kRoot, "unmounts what hides something", "system call filter", NULL, NULL},
    {"pivot-root", PivotsRoot, kClaim, kRoot, "changes the root mount", "system call filter", NULL, NULL},
    {"fsopen", OpensFileSystem, kClaim, kRoot, "opens a new file system", "system call filter", NULL, NULL},
    {"fspick", PicksFileSystem, kClaim, kRoot, "changes a file system that is mounted", "system call filter", NULL, NULL},
    {"open-tree", ClonesTree, kClaim, kRoot, "copies the mount tree", "system call filter", NULL, NULL},
    {"open-tree-attr", CopiesTreeWithAttributes, kClaim, kMachine, "the same by a newer call", "system call filter: ENOSYS", NULL, NULL},
    {"move-mount", MovesMount, kClaim, kRoot, "moves a mount", "system call filter", NULL, NULL},
    {"mount-setattr", SetsMountAttributes, kClaim, kRoot, "changes flags of a mount", "system call filter", NULL, NULL},
    {"listmount", ListsMounts, kClaim, kMachine, "lists mounts by the newest calls", "system call filter: ENOSYS", NULL, NULL},
    {0}};
