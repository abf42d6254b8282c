// Files outside that are not shown: reading, writing, and ways around the root.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/escape/attacks/attack.h"

static void SecretFile(void) { LeakFile(Fact("secret")); }
static void SecretInVarTmp(void) { LeakFile(Fact("var_tmp")); }
static void SecretInDevShm(void) { LeakFile(Fact("dev_shm")); }
static void Shadow(void) { ReportOpen("/etc/shadow", O_RDONLY); }
static void RootsHome(void) { ReportOpen("/root", O_RDONLY | O_DIRECTORY); }

static void Create(const char* directory) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/made-by-attack", directory);
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  Report(path, fd);
  if (fd >= 0) close(fd);
}

static void CreatesFile(void) { Create(Fact("drop")); }
static void WritesVarTmp(void) { Report("write", WriteTo(Fact("var_tmp"), "overwritten")); }
static void WritesDevShm(void) { Report("write", WriteTo(Fact("dev_shm"), "overwritten")); }

// A file without a name in a system directory: it is gone with its descriptor.
static void Unnamed(const char* directory) { ReportOpen(directory, O_WRONLY | O_TMPFILE); }
static void WritesUsr(void) { Unnamed("/usr"); }
static void WritesEtc(void) {
  // A private /etc that can be written to is no success: only the machine's own.
  struct stat status;
  if (stat("/etc", &status) != 0 || (long)status.st_ino != NumberFact("etc_inode")) {
    Stopped("/etc is not the machine's", 0);
    return;
  }
  Unnamed("/etc");
}

static void DotDotAboveRoot(void) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "/../../../../../../../../..%s", Fact("secret"));
  LeakFile(path);
}

static void FollowsSymlink(void) {
  char link[PATH_MAX];
  snprintf(link, sizeof link, "/tmp/link-%s", Nonce());
  if (!Step("symlink", symlink(Fact("secret"), link))) return;
  LeakFile(link);
  unlink(link);
}

static void InheritedDirectory(void) {
  int tried = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISDIR(status.st_mode)) continue;
    ++tried;
    // Relative to the descriptor, which may be above our root.
    const int file = openat(fd, Fact("secret") + 1, O_RDONLY | O_CLOEXEC);
    if (file >= 0) LeakDescriptor("openat by an inherited directory", file);
  }
  if (tried == 0) Stopped("no directory was inherited", 0);
}

static void InheritedFile(void) {
  int tried = 0;
  for (int fd = 3; fd < 1024; ++fd) {
    char data[128];
    const ssize_t size = pread(fd, data, sizeof data, 0);
    if (size <= 0) continue;
    ++tried;
    Leak(data, (size_t)size);
  }
  if (tried == 0) Stopped("no file was inherited", 0);
}

static void WritesInheritedFile(void) {
  int tried = 0;
  for (int fd = 3; fd < 1024; ++fd) {
    if (pwrite(fd, "overwritten", 11, 0) == 11) ++tried;
  }
  if (tried == 0) Stopped("nothing that was inherited can be written to", 0);
}

static void HighInheritedDescriptor(void) {
  static const int kHigh[] = {1023, 1024, 4096, 65535};
  for (size_t i = 0; i < sizeof kHigh / sizeof *kHigh; ++i) {
    if (fcntl(kHigh[i], F_GETFD) >= 0) Succeeded("a descriptor of a high number is open");
  }
  Stopped("no high descriptor is open", 0);
}

static void ProcRoot(void) {
  static const char* const kWays[] = {"/proc/1/root", "/proc/1/cwd", "/proc/self/root", "/proc/self/cwd", "/proc/thread-self/root"};
  for (size_t i = 0; i < sizeof kWays / sizeof *kWays; ++i) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s%s", kWays[i], Fact("secret"));
    LeakFile(path);
  }
}

static void CurrentDirectory(void) {
  // The launcher may have been somewhere that is not inside. CVE-2024-21626.
  char up[PATH_MAX] = ".";
  for (int i = 0; i < 64; ++i) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s%s", up, Fact("secret")) >= (int)sizeof path) return;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
      LeakDescriptor(path, fd);
      return;
    }
    strcat(up, "/..");
  }
  Stopped("nothing above the current directory", ENOENT);
}

static void Connect(const char* path, int type) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (!Step("socket", fd)) return;
  if (Step("connect", connect(fd, (struct sockaddr*)&address, sizeof address))) {
    Report("send", send(fd, Nonce(), strlen(Nonce()), MSG_NOSIGNAL));
  }
  close(fd);
}

static void StreamSocketFile(void) { Connect(Fact("stream_path"), SOCK_STREAM); }
static void DatagramSocketFile(void) { Connect(Fact("datagram_path"), SOCK_DGRAM); }

static void OpensByHandle(void) {
  // "Shocker": a handle of the root directory is the same on every ext4, and any file can be walked to from there.
  struct {
    struct file_handle head;
    unsigned char bytes[128];
  } handle = {.head = {.handle_bytes = 128}};
  int mount = -1;
  if (name_to_handle_at(AT_FDCWD, "/proc/self/exe", &handle.head, &mount, AT_SYMLINK_FOLLOW) != 0) {
    Stopped("name_to_handle_at", errno);
    return;
  }
  const int at = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // ESTALE is said only to those who may ask.
  ReportReached("open_by_handle_at", open_by_handle_at(at, &handle.head, O_RDONLY));
  close(at);
}

const struct Attack kFiles[] = {
    {"secret-file", SecretFile, kSecret, kAnywhere, "reads a file in /tmp outside", "mount namespace", NULL, NULL},
    {"secret-in-var-tmp", SecretInVarTmp, kSecret, kAnywhere, "reads a file in /var/tmp", "mount namespace", NULL, NULL},
    {"secret-in-dev-shm", SecretInDevShm, kSecret, kAnywhere, "reads shared memory in /dev/shm", "mount namespace", NULL, NULL},
    {"shadow", Shadow, kClaim, kRoot, "opens /etc/shadow", "mount namespace", NULL, NULL},
    {"roots-home", RootsHome, kClaim, kRoot, "opens /root", "mount namespace", NULL, NULL},
    {"creates-file", CreatesFile, kOutside, kAnywhere, "creates a file in a directory outside", "mount namespace", NULL, NULL},
    {"writes-var-tmp", WritesVarTmp, kOutside, kAnywhere, "writes to a file in /var/tmp", "mount namespace", NULL, NULL},
    {"writes-dev-shm", WritesDevShm, kOutside, kAnywhere, "writes to shared memory in /dev/shm", "mount namespace", NULL, NULL},
    {"writes-usr", WritesUsr, kClaim, kRoot, "makes a file in /usr", "read-only mount", NULL, NULL},
    {"writes-etc", WritesEtc, kClaim, kRoot, "makes a file in the machine's /etc", "own root", NULL, NULL},
    {"dot-dot", DotDotAboveRoot, kSecret, kAnywhere, "goes above the root by ..", "pivot_root", NULL, NULL},
    {"follows-symlink", FollowsSymlink, kSecret, kAnywhere, "reads a file outside through its own symbolic link", "mount namespace", NULL, NULL},
    {"inherited-directory", InheritedDirectory, kSecret, kAnywhere, "leaves by a directory that the launcher had open", "close_range", NULL, NULL},
    {"inherited-file", InheritedFile, kSecret, kAnywhere, "reads a file that the launcher had open", "close_range", NULL, NULL},
    {"writes-inherited-file", WritesInheritedFile, kOutside, kAnywhere, "writes to a file that the launcher had open", "close_range", NULL, NULL},
    {"high-descriptor", HighInheritedDescriptor, kClaim, kAnywhere, "uses a descriptor of number 1023 or more", "close_range", NULL, NULL},
    {"proc-root", ProcRoot, kSecret, kAnywhere, "leaves by /proc/PID/root and cwd", "own /proc, pivot_root", NULL, NULL},
    {"current-directory", CurrentDirectory, kSecret, kAnywhere, "leaves by the launcher's current directory", "pivot_root, chdir", NULL, NULL},
    {"stream-socket-file", StreamSocketFile, kOutside, kAnywhere, "connects to a socket file outside", "mount namespace", NULL, NULL},
    {"datagram-socket-file", DatagramSocketFile, kOutside, kAnywhere, "sends to a socket file outside", "mount namespace", NULL, NULL},
    {"open-by-handle", OpensByHandle, kClaim, kRoot, "opens a file by its handle, past the mounts", "system call filter", NULL, NULL},
    {0}};
