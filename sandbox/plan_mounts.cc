#include "sandbox/plan_mounts.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/given_file.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "sandbox/made_files.h"
#include "sandbox/mounts_child.h"
#include "sandbox/plan_devices.h"

namespace brood {
namespace {

constexpr uint64_t kDefaultTmpfsBytes = 64u << 20;
constexpr uint32_t kTmpfsMode = 01777;
constexpr uint32_t kDirectoryMode = 0755;
constexpr uint32_t kFileMode = 0444;
constexpr uint64_t kHidden = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

// "/a//b/../c" is refused rather than guessed at: what a person wrote is what is shown.
absl::StatusOr<std::string> Destination(const FileRule& rule) {
  if (rule.destination.empty() || rule.destination[0] != '/') {
    return absl::InvalidArgumentError(absl::StrCat("files: \"", rule.destination, "\" must be an absolute path"));
  }
  std::vector<std::string> parts;
  for (std::string_view part : absl::StrSplit(rule.destination, '/', absl::SkipEmpty())) {
    if (part == "..") {
      return absl::InvalidArgumentError(absl::StrCat("files: \"", rule.destination, "\" must not contain \"..\""));
    }
    if (part != ".") parts.emplace_back(part);
  }
  std::string clean;
  for (const std::string& part : parts) absl::StrAppend(&clean, clean.empty() ? "" : "/", part);
  return clean;
}

uint64_t NoExec(const FileRule& rule) { return rule.no_exec ? MOUNT_ATTR_NOEXEC : 0; }

// "" with errno. A name without links, which the mount looks up without any: who puts one there later makes it fail.
std::string Resolve(const UntrustedDirectories& untrusted, const std::string& path) {
  char name[PATH_MAX];
  if (untrusted.empty()) return realpath(path.c_str(), name) != nullptr ? name : "";
  const UniqueFd file = OpenGivenFile(untrusted, path, O_PATH);
  const ssize_t length = file.valid() ? readlink(absl::StrCat("/proc/self/fd/", file.get()).c_str(), name, sizeof(name)) : -1;
  return length > 0 ? std::string(name, static_cast<size_t>(length)) : "";
}

absl::Status NoSource(std::string_view what, const std::string& path, const UntrustedDirectories& untrusted) {
  const bool link = errno == ELOOP && !untrusted.empty();
  return ErrnoStatus(errno, link ? absl::StrCat(what, ", following no link where another child may write: give the path that it leads to,") : what, path);
}

// Parents before what is mounted inside them.
bool Earlier(const MountStep& a, const MountStep& b) {
  const std::vector<std::string_view> left = absl::StrSplit(std::string_view(a.target), '/', absl::SkipEmpty());
  const std::vector<std::string_view> right = absl::StrSplit(std::string_view(b.target), '/', absl::SkipEmpty());
  return left < right;
}

class MountPlanner {
 public:
  MountPlanner(const UntrustedDirectories& untrusted, bool lend, std::deque<std::string>* texts) : untrusted_(untrusted), lend_(lend), texts_(texts) {}

  absl::Status AddRule(const FileRule& rule) {
    BROOD_ASSIGN_OR_RETURN(const std::string target, Destination(rule));
    BROOD_RETURN_IF_ERROR(Annotate(CheckMade(rule), "files"));
    if (rule.kind == FileRule::Kind::kTmpfs) {
      if (target.empty()) return absl::InvalidArgumentError("files: a tmpfs at / would hide everything");
      const uint64_t size = rule.size_bytes > 0 ? rule.size_bytes : kDefaultTmpfsBytes;
      MountStep step;
      step.kind = MountStep::Kind::kTmpfs;
      step.text = Keep(absl::StrCat(size));
      step.attributes = kHidden | NoExec(rule);
      step.mode = rule.mode.value_or(kTmpfsMode);
      Put(target, step);
      return absl::OkStatus();
    }
    if (IsMade(rule)) return AddMade(rule, target);
    const bool merged = rule.kind == FileRule::Kind::kMerged;
    const bool overlay = rule.kind == FileRule::Kind::kOverlay || merged;
    if (overlay && target.empty()) return absl::InvalidArgumentError("files: an overlay at / is not possible; show the directories in it");
    if (rule.source.empty() || rule.source[0] != '/') {
      return absl::InvalidArgumentError(absl::StrCat("files: \"", rule.source, "\" must be an absolute path"));
    }
    // Where /bin is a symlink to usr/bin on the host it is one inside: a bind would resolve it and hide /usr/bin's own.
    struct stat status;
    if (rule.optional && !rule.no_exec && target.find('/') == std::string::npos && lstat(rule.source.c_str(), &status) == 0 &&
        S_ISLNK(status.st_mode)) {
      char link[PATH_MAX];
      const ssize_t length = readlink(rule.source.c_str(), link, sizeof(link));
      if (length > 0) {
        MountStep step;
        step.kind = MountStep::Kind::kSymlink;
        step.text = Keep(std::string(link, static_cast<size_t>(length)));
        step.optional = true;
        Put(target, step);
        return absl::OkStatus();
      }
    }
    const std::string source = Resolve(untrusted_, rule.source);
    if (source.empty()) {
      if (rule.optional && (errno == ENOENT || errno == ENOTDIR || errno == EACCES)) return absl::OkStatus();
      return NoSource("files: path", rule.source, untrusted_);
    }
    if (rule.access == FileRule::Access::kDevice) return AddDevice(rule, source, target);
    if (rule.optional && !rule.no_exec && AddCopy(source, target)) return absl::OkStatus();
    MountStep step;
    step.kind = overlay ? MountStep::Kind::kOverlay : MountStep::Kind::kBind;
    if (overlay && !merged && rule.changes.empty()) step.text = Keep(absl::StrCat(rule.size_bytes > 0 ? rule.size_bytes : kDefaultTmpfsBytes));
    step.source = Keep(source);
    step.optional = rule.optional;
    step.attributes = kHidden | NoExec(rule) | (merged || (!overlay && rule.access == FileRule::Access::kReadOnly) ? MOUNT_ATTR_RDONLY : 0);
    const bool write = rule.access == FileRule::Access::kReadWrite && !merged;
    if (!rule.optional) Lend(write, &step);
    Put(target, step);
    BROOD_RETURN_IF_ERROR(AddLayers(rule, write, target));
    return rule.changes.empty() ? absl::OkStatus() : AddChanges(rule, target);
  }

  absl::Status AddMinimalSystem(const Ids& ids, bool proc_of_processes_only, ProcAccess access_to_proc, bool queues) {
    const bool writable = access_to_proc == ProcAccess::kReadWrite;
    if (steps_.find("") != steps_.end()) CoverDevices();
    if (writable && steps_.find("proc") != steps_.end()) return absl::InvalidArgumentError("proc: of an own /proc, and a file rule shows something else there");
    MountStep proc;
    proc.kind = MountStep::Kind::kProc;
    proc.text = proc_of_processes_only ? "pid" : nullptr;
    proc.attributes = kHidden | MOUNT_ATTR_NOEXEC | (writable ? 0 : MOUNT_ATTR_RDONLY);
    PutIfFree("proc", proc);
    if (writable && !proc_of_processes_only) CoverWhatIsTheMachines();
    // A whole /proc lists what the caller's keys are called to a child that has the caller's id. keyrings(7).
    if (!proc_of_processes_only && !lend_ && access("/proc/keys", F_OK) == 0) {
      MountStep keys;
      keys.kind = MountStep::Kind::kBind;
      keys.source = "/dev/null";
      keys.attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY;
      PutIfFree("proc/keys", keys);
    }
    for (const char* device : {"null", "zero", "full", "random", "urandom"}) {
      MountStep step;
      step.kind = MountStep::Kind::kBind;
      step.source = Keep(absl::StrCat("/dev/", device));
      step.optional = true;
      step.attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
      PutIfFree(absl::StrCat("dev/", device), step);
    }
    Link("dev/fd", "/proc/self/fd");
    Link("dev/stdin", "/proc/self/fd/0");
    Link("dev/stdout", "/proc/self/fd/1");
    Link("dev/stderr", "/proc/self/fd/2");
    MountStep shared;
    shared.kind = MountStep::Kind::kTmpfs;
    shared.text = "64M";
    shared.mode = kTmpfsMode;
    shared.attributes = kHidden | MOUNT_ATTR_NOEXEC;
    PutIfFree("dev/shm", shared);
    // mq_open(3) goes by no path, but Landlock takes queues for files, and for the child's where they are in its root.
    if (queues) {
      MountStep step;
      step.kind = MountStep::Kind::kQueues;
      step.attributes = kHidden | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME;
      PutIfFree("dev/mqueue", step);
    }
    // Names for the ids that exist inside, so that what looks them up finds them; nothing of the host's.
    const uint32_t uid = ids.uid != 0 ? ids.uid : Ids().uid;
    const uint32_t gid = ids.gid != 0 ? ids.gid : Ids().gid;
    File("etc/passwd", Keep(absl::StrCat("root:x:0:0:root:/:/usr/sbin/nologin\nbrood:x:", uid, ":", gid, ":brood:/tmp:/bin/sh\n",
                                         "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")));
    File("etc/group", Keep(absl::StrCat("root:x:0:\nbrood:x:", gid, ":\nnogroup:x:65534:\n")));
    return absl::OkStatus();
  }

  // The names that were looked up for the list of destinations, as they were found then: no other answer is of use inside.
  void AddHosts(const std::vector<ResolvedName>& names) {
    std::string text = "127.0.0.1 localhost\n::1 localhost\n";
    for (const ResolvedName& name : names) {
      for (const std::string& address : name.addresses) absl::StrAppend(&text, address, " ", name.name, "\n");
    }
    MountStep step;
    step.kind = MountStep::Kind::kFile;
    step.text = Keep(std::move(text));
    step.mode = kFileMode;
    step.optional = true;
    Put("etc/hosts", step);
  }

  std::vector<MountStep> Take() {
    std::vector<MountStep> steps;
    for (auto& [target, step] : steps_) {
      steps.push_back(step);
      if (const auto layers = layers_.find(target); layers != layers_.end()) steps.insert(steps.end(), layers->second.begin(), layers->second.end());
      if (const auto changes = changes_.find(target); changes != changes_.end()) steps.push_back(changes->second);
    }
    std::stable_sort(steps.begin(), steps.end(), Earlier);
    return steps;
  }

 private:
  // In a root that is the host's the minimal /dev is not the host's: there brood can make no place for what is missing, and sockets
  // of the host's, /dev/log, would be in reach.
  void CoverDevices() {
    MountStep step;
    step.kind = MountStep::Kind::kTmpfs;
    step.text = "1M";
    step.mode = kDirectoryMode;
    step.attributes = kHidden | MOUNT_ATTR_NOEXEC;
    PutIfFree("dev", step);
  }

  // Of a /proc, all but what is of processes stays read-only, whoever owns it: /proc/sys is in part the own namespaces', whose
  // id 0 the child may be. The names are those that this kernel has, as far as the caller's /proc shows them, and those that
  // settings are known to be behind.
  void CoverWhatIsTheMachines() {
    std::set<std::string> names = {"sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "driver", "tty", "mtrr"};
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
      const std::string name = entry.path().filename().string();
      struct stat about;
      if (absl::ascii_isdigit(static_cast<unsigned char>(name[0])) || lstat(entry.path().c_str(), &about) != 0) continue;
      if (S_ISDIR(about.st_mode) || (!S_ISLNK(about.st_mode) && (about.st_mode & 0222) != 0)) names.insert(name);
    }
    for (const std::string& name : names) {
      MountStep step;
      step.kind = MountStep::Kind::kCovered;
      step.attributes = kHidden | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY;
      step.optional = true;
      PutIfFree(absl::StrCat("proc/", name), step);
    }
  }

  // By the guardian, if that has rights that the child has not.
  void Lend(bool write, MountStep* step) const {
    if (!lend_) return;
    step->lent = true;
    // Written with the caller's id outside. What is only shown is mapped where strangers could not read it, a private
    // directory of root's; what is public is shown as a stranger sees it, so that --ro /etc does not lend /etc/shadow.
    struct stat status;
    const bool is_private = stat(step->source, &status) == 0 &&
                            (status.st_mode & (S_ISDIR(status.st_mode) ? 0005u : 0004u)) != (S_ISDIR(status.st_mode) ? 0005u : 0004u);
    step->idmapped = write || is_private;
    step->idmap_required = write;
  }

  absl::Status AddMade(const FileRule& rule, const std::string& target) {
    if (target.empty()) return absl::InvalidArgumentError("files: / is there already");
    MountStep step;
    step.kind = rule.kind == FileRule::Kind::kSymlink ? MountStep::Kind::kSymlink
                : rule.kind == FileRule::Kind::kFile  ? MountStep::Kind::kFile
                                                      : MountStep::Kind::kDirectory;
    if (rule.kind != FileRule::Kind::kDirectory) step.text = Keep(rule.text);
    step.mode = rule.mode.value_or(rule.kind == FileRule::Kind::kFile ? kFileMode : kDirectoryMode);
    Put(target, step);
    return absl::OkStatus();
  }

  // On a read-only mount a device can be used, and its mode and owner cannot be changed.
  absl::Status AddDevice(const FileRule& rule, const std::string& source, const std::string& target) {
    if (target.empty()) return absl::InvalidArgumentError("files: a device at / would hide everything");
    BROOD_ASSIGN_OR_RETURN(const DeviceSource device, LookAtDevice(source));
    MountStep step;
    step.kind = MountStep::Kind::kBind;
    step.source = Keep(source);
    step.optional = rule.optional;
    step.attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY;
    step.device = true;
    // One that its group alone can open would be of no use, and whoever names it means that it is used.
    step.lent = lend_ && !rule.optional;
    step.idmapped = step.lent && (device.is_private || device.directory);
    step.idmap_required = step.lent && device.is_private;
    Put(target, step);
    return absl::OkStatus();
  }

  absl::Status AddLayers(const FileRule& rule, bool write, const std::string& target) {
    const bool merged = rule.kind == FileRule::Kind::kMerged;
    if (merged && rule.layers.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("files: a read-only overlay of ", rule.source, " alone is what \"path\" or --ro shows; add what is below it"));
    }
    if (rule.layers.size() > kMaxLayers) {
      return absl::InvalidArgumentError(absl::StrCat("files: overlay of ", rule.source, ": ", rule.layers.size(), " directories below it, at most ", kMaxLayers, " are possible"));
    }
    for (const std::string& layer : rule.layers) {
      const std::string source = layer.substr(0, 1) == "/" ? Resolve(untrusted_, layer) : "";
      if (source.empty()) {
        return layer.substr(0, 1) != "/" ? absl::InvalidArgumentError(absl::StrCat("files: \"", layer, "\" below an overlay must be an absolute path"))
                                         : NoSource("files: below an overlay, path", layer, untrusted_);
      }
      MountStep step;
      step.kind = MountStep::Kind::kLayer;
      step.source = Keep(source);
      step.target = Keep(target);
      step.attributes = kHidden;
      Lend(write, &step);
      layers_[target].push_back(step);
    }
    return absl::OkStatus();
  }

  // Small public text files of /etc that a built-in policy shows are copied once, when the policy is compiled: a bind of
  // each would cost every launch three mount calls.
  bool AddCopy(const std::string& source, const std::string& target) {
    constexpr off_t kMaxBytes = 32 * 1024;
    struct stat status;
    if (!absl::StartsWith(target, "etc/") || stat(source.c_str(), &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_size > kMaxBytes || (status.st_mode & S_IROTH) == 0) {
      return false;
    }
    std::ifstream file(source, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file || text.find('\0') != std::string::npos) return false;
    MountStep step;
    step.kind = MountStep::Kind::kFile;
    step.text = Keep(std::move(text));
    step.mode = kFileMode;
    step.optional = true;
    Put(target, step);
    return true;
  }

  // Where an overlay keeps them. The guardian opens it, and keeps others from it as long as it lives.
  absl::Status AddChanges(const FileRule& rule, const std::string& target) {
    const std::string source = rule.changes[0] == '/' ? Resolve(untrusted_, rule.changes) : "";
    if (source.empty()) {
      return rule.changes[0] != '/' ? absl::InvalidArgumentError(absl::StrCat("files: changes \"", rule.changes, "\" must be an absolute path"))
                                    : NoSource("files: changes", rule.changes, untrusted_);
    }
    MountStep step;
    step.kind = MountStep::Kind::kChanges;
    step.source = Keep(source);
    step.target = Keep(target);
    step.attributes = kHidden;
    step.lent = step.idmapped = step.idmap_required = lend_;
    changes_[target] = step;
    return absl::OkStatus();
  }

  const char* Keep(std::string text) { return texts_->emplace_back(std::move(text)).c_str(); }

  void Put(const std::string& target, MountStep step) {
    step.target = Keep(target);
    steps_[target] = step;
    changes_.erase(target);
    layers_.erase(target);
  }
  void PutIfFree(const std::string& target, MountStep step) {
    if (steps_.find(target) == steps_.end()) Put(target, step);
  }
  void Link(const std::string& target, const char* to) {
    MountStep step;
    step.kind = MountStep::Kind::kSymlink;
    step.text = to;
    step.optional = true;
    PutIfFree(target, step);
  }
  void File(const std::string& target, const char* content) {
    MountStep step;
    step.kind = MountStep::Kind::kFile;
    step.text = content;
    step.mode = kFileMode;
    step.optional = true;
    PutIfFree(target, step);
  }

  const UntrustedDirectories& untrusted_;
  bool lend_;
  std::deque<std::string>* texts_;
  std::map<std::string, MountStep> steps_;
  std::map<std::string, MountStep> changes_;  // Of the overlays among them.
  std::map<std::string, std::vector<MountStep>> layers_;
};

}  // namespace

absl::StatusOr<std::vector<MountStep>> PlanMounts(const Policy& policy, const std::vector<ResolvedName>& names,
                                                  const UntrustedDirectories& untrusted, bool lend, bool queues,
                                                  std::deque<std::string>* texts) {
  MountPlanner planner(untrusted, lend, texts);
  for (const FileRule& rule : policy.files) BROOD_RETURN_IF_ERROR(planner.AddRule(rule));
  const bool shows_hosts = std::any_of(policy.files.begin(), policy.files.end(), [](const FileRule& rule) {
    return !rule.optional && (rule.destination == "/etc" || rule.destination == "/etc/hosts");
  });
  if (!names.empty() && !shows_hosts) planner.AddHosts(names);
  if (policy.minimal_system) {
    BROOD_RETURN_IF_ERROR(planner.AddMinimalSystem(policy.ids, policy.unlisted == SyscallAction::kKill, policy.proc, queues));
  }
  std::vector<MountStep> steps = planner.Take();
  if (steps.size() > child::kMaxMountSteps) {
    return absl::InvalidArgumentError(
        absl::StrCat("files: ", steps.size(), " entries, at most ", child::kMaxMountSteps, " are possible"));
  }
  return steps;
}

}  // namespace brood
