// The directory that the launcher shows, read-only: every way to change it. Modes allow everybody everything there.
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

static const char* In(const char* name) {
  static char paths[2][PATH_MAX];
  static int next;
  char* path = paths[next++ & 1];
  snprintf(path, PATH_MAX, "%s/%s", Fact("shown"), name);
  return path;
}

static void Write(void) { Report("write", WriteTo(In("file"), "overwritten")); }
static void Truncate(void) { Report("truncate", truncate(In("file"), 0)); }
static void OpenTruncate(void) { Report("open", open(In("file"), O_RDONLY | O_TRUNC | O_CLOEXEC)); }
static void Allocate(void) {
  const int fd = open(In("file"), O_RDWR | O_CLOEXEC);
  if (Step("open", fd)) Report("fallocate", fallocate(fd, 0, 0, 8192));
}
static void Unlink(void) { Report("unlink", unlink(In("file"))); }
static void Rename(void) { Report("rename", rename(In("file"), In("renamed"))); }
static void Create(void) { Report("open", open(In("made"), O_WRONLY | O_CREAT | O_CLOEXEC, 0666)); }
static void MakeDirectory(void) { Report("mkdir", mkdir(In("made"), 0777)); }
static void RemoveDirectory(void) {
  if (Step("unlink", unlink(In("directory/file")))) Report("rmdir", rmdir(In("directory")));
}
static void ChangeMode(void) { Report("chmod", chmod(In("file"), 0600)); }
static void ChangeOwner(void) { Report("chown", chown(In("file"), (uid_t)-1, getegid())); }
static void ChangeTimes(void) {
  const struct timeval times[2] = {{1, 0}, {1, 0}};
  Report("utimes", utimes(In("file"), times));
}
static void SetAttribute(void) { Report("setxattr", setxattr(In("file"), "user.brood", "x", 1, 0)); }
static void SetFlags(void) {
  const int fd = open(In("file"), O_RDONLY | O_CLOEXEC);
  int flags = 0;
  if (!Step("open", fd) || !Step("FS_IOC_GETFLAGS", ioctl(fd, FS_IOC_GETFLAGS, &flags))) return;
  Report("FS_IOC_SETFLAGS", ioctl(fd, FS_IOC_SETFLAGS, &flags));
}
static void SetFlagsByPath(void) {
  // Linux 6.17; numbers as of file_getattr and file_setattr.
  unsigned char attributes[24] = {0};
  if (!Step("file_getattr", syscall(468, AT_FDCWD, In("file"), attributes, sizeof attributes, 0))) return;
  Report("file_setattr", syscall(469, AT_FDCWD, In("file"), attributes, sizeof attributes, 0));
}
static void HardLink(void) { Report("link", link(In("file"), In("linked"))); }
static void SymbolicLink(void) { Report("symlink", symlink("/", In("symlink"))); }
static void Fifo(void) { Report("mkfifo", mkfifo(In("fifo"), 0666)); }

static void Socket(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", Fact("shown"));
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (Step("socket", fd)) Report("bind", bind(fd, (struct sockaddr*)&address, sizeof address));
}

static void Reopen(void) {
  // An open for reading is opened again for writing through /proc.
  const int fd = open(In("file"), O_RDONLY | O_CLOEXEC);
  if (!Step("open", fd)) return;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  Report("write", WriteTo(path, "overwritten"));
}

static void ReplaceProgram(void) {
  // Not a write to a program that runs (ETXTBSY), but another file of its name.
  if (Step("unlink", unlink(In("attack")))) {
    Report("open", open(In("attack"), O_WRONLY | O_CREAT | O_CLOEXEC, 0777));
  }
}

static void SelfExe(void) {
  // CVE-2019-5736: whoever runs this program next runs what is written here. A copy runs, so that it is not busy.
  char target[PATH_MAX] = "";
  if (!Step("readlink", readlink("/proc/self/exe", target, sizeof target - 1))) return;
  Report("chmod", chmod("/proc/self/exe", 0777));
  Report("utimensat", utimensat(AT_FDCWD, target, NULL, 0));
}

static void Lock(void) {
  const int fd = open(In("file"), O_RDONLY | O_CLOEXEC);
  if (Step("open", fd)) Report("flock", flock(fd, LOCK_EX | LOCK_NB));
}

static void Lease(void) {
  // Who opens the file for writing outside waits for 45 seconds. fcntl(2), "Leases".
  const int fd = open(In("file"), O_RDONLY | O_CLOEXEC);
  if (Step("open", fd)) Report("F_SETLEASE", fcntl(fd, F_SETLEASE, F_RDLCK));
}

static void MapsWritable(void) {
  const int fd = open(In("file"), O_RDWR | O_CLOEXEC);
  if (Step("open", fd)) Report("write", pwrite(fd, "mapped", 6, 0));
}

const struct Attack kShown[] = {
    {"shown-write", Write, kOutside, kAnywhere, "writes to a file that is shown read-only", "read-only mount", NULL, NULL},
    {"shown-read-write", MapsWritable, kOutside, kAnywhere, "opens a shown file for both", "read-only mount", NULL, NULL},
    {"shown-truncate", Truncate, kOutside, kAnywhere, "truncates a shown file by path", "read-only mount", NULL, NULL},
    {"shown-open-truncate", OpenTruncate, kOutside, kAnywhere, "truncates a shown file while opening it for reading", "read-only mount", NULL, NULL},
    {"shown-fallocate", Allocate, kOutside, kMachine, "makes a shown file larger", "read-only mount", NULL, NULL},
    {"shown-unlink", Unlink, kOutside, kAnywhere, "removes a shown file", "read-only mount", NULL, NULL},
    {"shown-rename", Rename, kOutside, kAnywhere, "renames a shown file", "read-only mount", NULL, NULL},
    {"shown-create", Create, kOutside, kAnywhere, "creates a file in a shown directory", "read-only mount", NULL, NULL},
    {"shown-mkdir", MakeDirectory, kOutside, kAnywhere, "makes a directory in a shown one", "read-only mount", NULL, NULL},
    {"shown-rmdir", RemoveDirectory, kOutside, kAnywhere, "removes a shown directory", "read-only mount", NULL, NULL},
    {"shown-chmod", ChangeMode, kOutside, kAnywhere, "changes the mode of a shown file", "read-only mount", NULL, NULL},
    {"shown-chown", ChangeOwner, kOutside, kAnywhere, "changes the group of a shown file", "read-only mount", NULL, NULL},
    {"shown-utimes", ChangeTimes, kOutside, kAnywhere, "changes the times of a shown file", "read-only mount", NULL, NULL},
    {"shown-xattr", SetAttribute, kOutside, kMachine, "sets an attribute of a shown file", "read-only mount", NULL, NULL},
    {"shown-flags", SetFlags, kClaim, kMachine, "sets the flags of a shown file (to what they are)", "read-only mount", NULL, NULL},
    {"shown-file-setattr", SetFlagsByPath, kClaim, kMachine, "the same by a newer call", "system call filter: ENOSYS", NULL, NULL},
    {"shown-link", HardLink, kOutside, kAnywhere, "links a shown file", "read-only mount", NULL, NULL},
    {"shown-symlink", SymbolicLink, kOutside, kAnywhere, "plants a symbolic link", "read-only mount", NULL, NULL},
    {"shown-fifo", Fifo, kOutside, kAnywhere, "plants a FIFO", "read-only mount", NULL, NULL},
    {"shown-socket", Socket, kOutside, kAnywhere, "plants a socket file", "read-only mount, system call filter", NULL, NULL},
    {"shown-reopen", Reopen, kOutside, kAnywhere, "opens a file that is open for reading again for writing", "read-only mount", NULL, NULL},
    {"shown-replace-program", ReplaceProgram, kOutside, kAnywhere, "replaces its own program", "read-only mount", NULL, NULL},
    {"self-exe", SelfExe, kOutside, kAnywhere, "changes its own program by /proc/self/exe", "read-only mount", NULL, NULL},
    {"shown-lease", Lease, kClaim, kAnywhere, "takes a lease, so that writers outside wait", "system call filter", NULL, NULL},
    {"shown-lock", Lock, kClaim, kAnywhere, "locks a shown file, which those outside see", "nothing", "design", NULL},
    {0}};
