// Looks at itself by what strict lets it call, and exits with 0, or with 40 and more for what should not be. A call that
// fails for another reason than confinement says nothing: somebody refuses system calls here.
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static void expect(int holds, int what) {
  if (!holds) _exit(what);
}

static int opens(const char* path, int flags) { return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600) >= 0; }

int main(void) {
  const int no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
  expect(no_new_privs != 0, 40);
  const int seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
  expect(seccomp < 0 || seccomp == 2, 41);
  for (int capability = 0; capability <= 40; ++capability) {
    expect(prctl(PR_CAPBSET_READ, capability, 0, 0, 0) <= 0, 42);
    expect(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) <= 0, 43);
  }
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  memset(data, 0, sizeof data);
  if (syscall(SYS_capget, &header, data) == 0) {
    for (int i = 0; i < 2; ++i) expect((data[i].effective | data[i].permitted | data[i].inheritable) == 0, 44);
  }
  const long uid = syscall(SYS_getuid);
  expect(uid < 0 || uid == 1000, 45);
  const long gid = syscall(SYS_getgid);
  expect(gid < 0 || gid == 1000, 46);
  const long parent = syscall(SYS_getppid);
  expect(parent < 0 || parent == 1, 47);
  struct utsname name;
  if (uname(&name) == 0) expect(strcmp(name.nodename, "brood") == 0, 48);
  expect(!opens("/root", O_RDONLY | O_DIRECTORY), 49);
  expect(!opens("/etc/shadow", O_RDONLY), 49);
  expect(!opens("/written", O_WRONLY | O_CREAT), 49);
  expect(!opens("/usr/written", O_WRONLY | O_CREAT), 49);
  struct rlimit limit;
  if (syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &limit) == 0) expect(limit.rlim_cur <= 64u << 20, 49);
  if (syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, &limit) == 0) expect(limit.rlim_cur <= 1, 49);
  return 0;
}
