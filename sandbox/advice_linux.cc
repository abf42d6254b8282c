#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "sandbox/advice.h"
#include "sandbox/machine.h"

namespace brood {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text);
  return text;
}

// Docker's default profile and those of Podman and Kubernetes answer EPERM to unshare(2) and clone(2) with namespaces.
bool IsFiltered() { return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER; }

bool IsInContainer() {
  return access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0 || getenv("container") != nullptr;
}

// Bazel's linux-sandbox starts an action in a directory of that name.
bool IsInBazelSandbox() {
  char* const directory = getcwd(nullptr, 0);
  const std::string text = directory != nullptr ? directory : "";
  free(directory);
  return absl::StrContains(text, "/sandbox/linux-sandbox/") || absl::StrContains(text, "/sandbox/processwrapper-sandbox/");
}

// Whoever is in a chroot has no mount at its root. user_namespaces(7): no namespace is made there.
bool IsInChroot() {
  std::ifstream mounts("/proc/self/mountinfo");
  bool some = false;
  for (std::string line; std::getline(mounts, line); some = true) {
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; i < 5; ++i) fields >> field;
    if (field == "/") return false;
  }
  return some;
}

// As whoever made this user namespace knows it: who would give a cgroup away is outside. user_namespaces(7), uid_map.
uint64_t OuterUid(uint64_t uid) {
  std::ifstream map("/proc/self/uid_map");
  for (uint64_t inside = 0, outside = 0, count = 0; map >> inside >> outside >> count;) {
    if (uid >= inside && uid - inside < count) return outside + (uid - inside);
  }
  return uid;
}

// A process whose ids have no number in its user namespace makes none below it. user_namespaces(7), "EPERM" of clone(2)
bool HasUnmappedId() {
  for (const auto& [path, own] : {std::pair("/proc/self/uid_map", uint64_t{geteuid()}), std::pair("/proc/self/gid_map", uint64_t{getegid()})}) {
    std::ifstream map(path);
    if (!map.is_open()) continue;  // Nobody knows.
    bool mapped = false;
    for (uint64_t inside = 0, outside = 0, count = 0; map >> inside >> outside >> count;) mapped = mapped || (own >= inside && own - inside < count);
    if (!mapped) return true;
  }
  return false;
}

bool HasProc() {
  struct statfs about = {};
  return statfs("/proc", &about) == 0 && about.f_type == PROC_SUPER_MAGIC;
}

bool IsInVersion1(std::string_view controller) {
  std::ifstream file("/proc/cgroups");
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string name;
    int hierarchy = 0;
    if (fields >> name >> hierarchy && name == controller) return hierarchy != 0;
  }
  return false;
}

// A user namespace may mount a procfs only where it sees one already. fs/namespace.c, mount_too_revealing()
Advice NoProcAdvice() {
  return {"no procfs is mounted at /proc, without which no new one is to be had, and little is to be known", "as root: mount -t proc proc /proc"};
}

bool IsProcReadOnly() { return access("/proc/self/uid_map", W_OK) != 0 && errno == EROFS; }

// No ids are mapped by what cannot be written, and a procfs that shows more than those that are there is not to be had. Of root's
// new one bubblewrap covers parts.
Advice ReadOnlyProcAdvice() {
  return {"/proc is mounted read-only",
          "mount it to be written: bwrap --bind /proc /proc, or, not as root, bwrap --proc /proc; as root: mount -o remount,bind,rw /proc"};
}

constexpr std::string_view kBazel = "tag the target \"no-sandbox\" or \"local\", or build with --strategy=TestRunner=local: what runs inside "
                                    "Bazel's own sandbox is in a namespace that it has made";

Advice Surroundings(int error) {
  if (IsInBazelSandbox()) return {absl::StrCat("brood runs inside Bazel's sandbox (", ErrnoText(error), ")"), std::string(kBazel)};
  if (error == EPERM && HasUnmappedId()) {
    return {absl::StrCat("user or group id have no mapping in the user namespace around brood (", ErrnoText(error), ")"),
            "make it by unshare --map-root-user or --map-current-user, or write its /proc/PID/uid_map and gid_map from outside. user_namespaces(7)"};
  }
  if (IsFiltered()) {
    return {absl::StrCat("a seccomp filter around brood refuses it (", ErrnoText(error), "), as Docker's default profile does"),
            "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined, or "
            "a profile that allows clone, unshare, setns, mount, the mount API and pivot_root; or run brood outside"};
  }
  if (IsInChroot()) return {"brood is in a chroot, where the kernel makes no user namespace", "run brood outside of the chroot, or enter it by pivot_root"};
  return {absl::StrCat("the kernel answers ", ErrnoText(error)),
          IsInContainer() ? "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined; or run brood outside"
                          : "see `dmesg` for a security module that refuses it, and namespaces(7)"};
}

Advice Limit(const std::string& setting, int error) {
  const std::string value = FirstLine(absl::StrCat("/proc/sys/user/", setting));
  if (value == "0") {
    return {absl::StrCat("user.", setting, " is 0"),
            absl::StrCat("sysctl -w user.", setting, "=15000, and a line user.", setting, "=15000 in /etc/sysctl.d")};
  }
  return {absl::StrCat("user.", setting, " (", value, " here) is reached, in this user namespace or one around it: ", ErrnoText(error)),
          absl::StrCat("sysctl -w user.", setting, "=", value, "0 in the outermost, or end what holds namespaces: lsns")};
}

}  // namespace

Advice UserNamespaceAdvice(int error) {
  if (!ThisMachine().can_map_own_id) {
    return {"root lacks CAP_SETFCAP, without which it may not map its own id. user_namespaces(7)",
            "give root CAP_SETFCAP (docker run --cap-add SETFCAP), or run as another user"};
  }
  if (error == EROFS) return ReadOnlyProcAdvice();
  if (error == ENOENT) return NoProcAdvice();
  if (error == ESRCH) {
    return {"/proc is of another pid namespace, so that processes have other numbers in it",
            "mount one of this namespace: unshare --mount-proc; as root: mount -t proc proc /proc"};
  }
  if (error == ENOSPC) return Limit("max_user_namespaces", error);
  if (error == EUSERS) return {"32 user namespaces are one in the other already", "run brood further outside. user_namespaces(7)"};
  if (error == EINVAL || error == ENOSYS) return {"the kernel has no user namespaces", "a kernel with CONFIG_USER_NS"};
  if (FirstLine("/proc/sys/kernel/unprivileged_userns_clone") == "0") {
    return {"kernel.unprivileged_userns_clone is 0",
            "sysctl -w kernel.unprivileged_userns_clone=1, and a line kernel.unprivileged_userns_clone=1 in /etc/sysctl.d"};
  }
  if (FirstLine("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1") {
    return {"kernel.apparmor_restrict_unprivileged_userns is 1, as Ubuntu has it",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0; or, for brood alone, a profile in /etc/apparmor.d/brood: "
            "`abi <abi/4.0>, profile brood /usr/bin/brood flags=(unconfined) { userns, }`, and apparmor_parser -r /etc/apparmor.d/brood"};
  }
  return Surroundings(error);
}

Advice NamespaceAdvice(Layer layer, int error) {
  const std::string name = layer == Layer::kMount ? "mnt" : std::string(LayerName(layer));
  if (error == ENOSPC) return Limit(absl::StrCat("max_", name, "_namespaces"), error);
  if (error == EINVAL && layer == Layer::kTime) return {"the kernel has no time namespaces", "Linux 5.6 or later with CONFIG_TIME_NS"};
  if (error == ENOENT && !HasProc()) return NoProcAdvice();
  if (error == EINVAL) {
    return {absl::StrCat("the kernel has no ", LayerName(layer), " namespaces"), "a kernel with CONFIG_NAMESPACES and all kinds of them"};
  }
  return Surroundings(error);
}

Advice NewProcAdvice(int error) {
  if (IsInBazelSandbox()) return Surroundings(error);
  if (error != EPERM && error != EACCES) return NamespaceAdvice(Layer::kMount, error);
  if (!HasProc()) return NoProcAdvice();
  if (IsProcReadOnly()) return ReadOnlyProcAdvice();
  return {absl::StrCat("a new procfs cannot be mounted (", ErrnoText(error), "): something is mounted over parts of /proc, as containers do it"),
          "docker run --security-opt systempaths=unconfined (podman: --security-opt unmask=ALL); or unmount what `grep ' /proc/' "
          "/proc/self/mountinfo` lists, or run brood outside"};
}

Advice CgroupAdvice(std::string_view controllers) {
  Advice advice = {ThisMachine().cgroups.why_not, ""};
  if (advice.why.empty()) advice.why = "this kernel's cgroups lack the controller";
  // It shows them all read-only, whoever the caller is.
  if (IsInBazelSandbox()) return {absl::StrCat("brood runs inside Bazel's sandbox: ", advice.why), std::string(kBazel)};
  if (!HasProc()) return NoProcAdvice();
  const uint64_t owner = OuterUid(ThisMachine().uid);
  if (ThisMachine().cgroups.read_only) {
    advice.remedy = absl::StrCat("as root: for m in $(awk '$5 ~ /cgroup/ {print $5}' /proc/self/mountinfo); do mount -o remount,bind,rw $m; done; or "
                                 "docker run --privileged, or -v /sys/fs/cgroup:/sys/fs/cgroup:rw", owner == 0 ? "" : "; and then one of this user's: see docs/cgroups.md");
    return advice;
  }
  if (absl::StartsWith(advice.why, "no cgroup file system")) {
    // Which of the two has the controllers. cgroups(7), /proc/cgroups
    const bool version1 = IsInVersion1("memory");
    advice.remedy = absl::StrCat("as root: mkdir -p /sys/fs/cgroup && ",
                                 version1 ? absl::StrCat("mount -t tmpfs cgroup /sys/fs/cgroup && for c in ", controllers,
                                                         "; do mkdir /sys/fs/cgroup/$c && mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c; done")
                                          : "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
                                 owner == 0 ? "" : "; and then one of this user's: see docs/cgroups.md");
    return advice;
  }
  if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0) {
    advice.remedy = absl::StrCat("systemd-run --user --scope -p Delegate=yes brood ...; without systemd, as root: mkdir /sys/fs/cgroup/brood && chown -R ",
                                 ThisMachine().uid, " /sys/fs/cgroup/brood && echo PID > /sys/fs/cgroup/brood/cgroup.procs, for the PID of a shell to start brood in");
  } else {
    advice.remedy = absl::StrCat("as root: for c in ", controllers, "; do mkdir -p /sys/fs/cgroup/$c/brood && chown -R ", owner,
                                 " /sys/fs/cgroup/$c/brood && echo PID > /sys/fs/cgroup/$c/brood/cgroup.procs; done, for the PID of a shell to start brood in");
  }
  absl::StrAppend(&advice.remedy, "; see docs/cgroups.md");
  return advice;
}

Advice LandlockAdvice(int error) {
  if (error == EOPNOTSUPP) {
    const std::string modules = FirstLine("/sys/kernel/security/lsm");
    return {"the kernel has Landlock, and it is not switched on",
            absl::StrCat("boot with the kernel parameter lsm=landlock,", modules.empty() ? "..." : modules,
                         modules.empty() ? " (the dots stand for what /sys/kernel/security/lsm lists)" : "")};
  }
  if (error == ENOSYS && IsFiltered()) {
    return {"a seccomp filter around brood hides Landlock, or the kernel has none",
            "docker run --security-opt seccomp=unconfined, or a newer Docker, whose profile allows it; or Linux 5.19 with CONFIG_SECURITY_LANDLOCK"};
  }
  if (error == ENOSYS) return {"the kernel has no Landlock", "Linux 5.19 or later with CONFIG_SECURITY_LANDLOCK=y, and landlock in lsm="};
  return Surroundings(error);
}

}  // namespace brood
