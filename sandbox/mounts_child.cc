#include "sandbox/mounts_child.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/child_safe.h"
#include "sandbox/made_files_child.h"
#include "sandbox/mount_api_child.h"
#include "sandbox/overlay_child.h"
#include "sandbox/own_file_systems_child.h"

namespace brood::child {
namespace {

bool Attach(int mount, int root, const OwnFileSystems& own, const char* target, SetupMessage* failure) {
  struct stat status;
  if (fstat(mount, &status) != 0) return Fail(failure, "mount", errno, "stat source of /", target);
  const int place = OpenMountPoint(root, own, target, S_ISDIR(status.st_mode), failure);
  if (place < 0) return false;
  const bool moved = MoveMount(mount, place, "") == 0;
  const int error = errno;
  close(place);
  return moved || Fail(failure, "mount", error, "move_mount onto /", target);
}

// An empty file takes no block of a tmpfs but about a KiB of the kernel, and by default half of all the machine's pages may be
// inodes. Twice as many as there are blocks are enough for files with content and as many without. tmpfs(5).
bool LimitInodes(int context, const char* size) {
  constexpr uint64_t kBlock = 4096;
  constexpr uint64_t kFewest = 4096;
  uint64_t bytes = ParseNumber(size);
  const char unit = size[strlen(size) - 1];
  if (unit == 'M') bytes <<= 20;
  const uint64_t twice = bytes / kBlock * 2;
  Text<24> inodes;
  inodes.AddNumber(twice > kFewest ? twice : kFewest);
  return FsConfigString(context, "nr_inodes", inodes.c_str()) == 0;
}

// As the mount option of that name has it.
class ModeText {
 public:
  explicit ModeText(uint32_t mode) {
    for (size_t i = 0; i < kDigits; ++i) text_[i] = static_cast<char>('0' + (mode >> (3 * (kDigits - 1 - i)) & 7));
  }
  const char* c_str() const { return text_; }

 private:
  static constexpr size_t kDigits = 4;
  char text_[kDigits + 1] = {};
};

int NewFileSystem(const char* type, const char* size, const char* mode, const char* subset, unsigned attributes,
                  const char* target, SetupMessage* failure) {
  const int context = FsOpen(type);
  if (context < 0) {
    Fail(failure, "mount", errno, "fsopen ", type);
    return -1;
  }
  int mount = -1;
  if ((size == nullptr || (FsConfigString(context, "size", size) == 0 && LimitInodes(context, size))) &&
      (mode == nullptr || FsConfigString(context, "mode", mode) == 0) &&
      (subset == nullptr || FsConfigString(context, "subset", subset) == 0) && FsConfigCreate(context) == 0) {
    mount = FsMount(context, attributes);
  }
  if (mount < 0) {
    const int error = errno;
    const bool proc = strcmp(type, "proc") == 0;
    Fail(failure, "mount", error,
         proc && error == EPERM ? "a new procfs needs a /proc of the caller that nothing is mounted over (containers mask "
                                  "parts of theirs): /"
                                : "new file system at /",
         target);
  }
  const int saved = errno;
  close(context);
  errno = saved;
  return mount;
}

bool MakeFile(int root, const OwnFileSystems& own, const MountStep& step, SetupMessage* failure) {
  char place[kMaxPath];
  if (!ResolveParent(root, own, step.target, place)) {
    return (step.optional && errno == ELOOP) || Fail(failure, "mount", errno, errno == ELOOP ? "a link, in what may be written to, is on the way to /" : "open parent of /", step.target);
  }
  const char* last = nullptr;
  const int parent = OpenParent(root, own, place, &last);
  if (parent < 0 && errno != EROFS) return Fail(failure, "mount", errno, "open parent of /", step.target);
  struct stat status;
  if (parent < 0 || fstat(parent, &status) != 0 || !own.Has(status.st_dev)) {
    if (parent >= 0) close(parent);
    // What nobody asked for by name is there already, or its absence is not ours to mend.
    return step.optional || Fail(failure, "mount", EROFS, "brood makes nothing outside of its own tmpfs: /", step.target);
  }
  const bool made = MakeInDirectory(parent, last, step);
  const int error = errno;
  close(parent);
  if (made || (step.optional && error == EEXIST)) return true;
  return Fail(failure, "mount", error, error == EEXIST ? "something is there already: /" : "create /", step.target);
}

bool Cover(const MountStep& step, int root, SetupMessage* failure) {
  const int place = OpenInRoot(root, step.target, O_PATH | O_NOFOLLOW);
  if (place < 0) return (step.optional && errno == ENOENT) || Fail(failure, "mount", errno, "open /", step.target);
  const int tree = OpenTree(place, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  mount_attr attributes = {};
  attributes.attr_set = step.attributes;
  const bool covered = tree >= 0 && MountSetattr(tree, 0, attributes) == 0 && MoveMount(tree, place, "") == 0;
  const int error = errno;
  close(place);
  if (tree >= 0) close(tree);
  return covered || Fail(failure, "mount", error, "mount it upon itself: /", step.target);
}

// With its source, and those of the steps that belong to it.
bool CarryOut(const MountStep& step, const int* sources, const OverlayParts& parts, int root, OwnFileSystems* own, SetupMessage* failure) {
  const int source = sources[0];
  switch (step.kind) {
    case MountStep::Kind::kBind: {
      if (source == kAbsentSource) return true;
      if (!Attach(source, root, *own, step.target, failure)) return false;
      own->Show(source, step.attributes);
      close(source);
      return true;
    }
    case MountStep::Kind::kTmpfs:
    case MountStep::Kind::kProc:
    case MountStep::Kind::kQueues: {
      const bool tmpfs = step.kind == MountStep::Kind::kTmpfs;
      const char* const type = tmpfs ? "tmpfs" : step.kind == MountStep::Kind::kProc ? "proc" : "mqueue";
      const ModeText mode(step.mode);
      const int mount = NewFileSystem(type, tmpfs ? step.text : nullptr, tmpfs ? mode.c_str() : nullptr,
                                      tmpfs ? nullptr : step.text, static_cast<unsigned>(step.attributes), step.target,
                                      failure);
      if (mount < 0) return false;
      bool attached = Attach(mount, root, *own, step.target, failure);
      if (attached && tmpfs && !own->Add(mount)) {
        attached = Fail(failure, "mount", E2BIG, "more than 63 tmpfs mounts: /", step.target);
      }
      close(mount);
      return attached;
    }
    case MountStep::Kind::kOverlay: {
      const int overlay = MakeOverlay(step, sources, parts, root, failure);
      if (overlay < 0) return false;
      bool attached = Attach(overlay, root, *own, step.target, failure);
      // What is made for other mounts would stay among the changes that are kept.
      const bool in_memory = step.text != nullptr;
      if (attached && in_memory && !own->Add(overlay)) attached = Fail(failure, "mount", E2BIG, "more than 63 file systems in memory: /", step.target);
      if (!in_memory) own->Show(overlay, step.attributes);
      close(overlay);
      return attached;
    }
    case MountStep::Kind::kCovered:
      return Cover(step, root, failure);
    case MountStep::Kind::kChanges:
    case MountStep::Kind::kLayer:
      return true;  // Done with the overlay.
    case MountStep::Kind::kSymlink:
    case MountStep::Kind::kFile:
    case MountStep::Kind::kDirectory:
      return MakeFile(root, *own, step, failure);
  }
  return Fail(failure, "mount", EINVAL, "unknown step");
}

// Whether some part of `target` is a link to what is not there: it may lead to what a later step mounts.
bool LeadsNowhere(int root, const char* target) {
  char path[kMaxPath];
  for (size_t length = 0; length < sizeof(path); ++length) {
    if (target[length] == '/' || target[length] == '\0') {
      path[length] = '\0';
      const int place = OpenInRoot(root, path, O_PATH);
      if (place >= 0) {
        close(place);
      } else if (errno != ENOENT) {
        return false;
      } else {
        const int link = OpenInRoot(root, path, O_PATH | O_NOFOLLOW);
        if (link >= 0) close(link);
        return link >= 0;
      }
    }
    if (target[length] == '\0') return false;
    path[length] = target[length];
  }
  return false;
}

OverlayParts PartsOf(const ChildPlan& plan, size_t overlay) {
  OverlayParts parts;
  if (plan.mounts[overlay].kind != MountStep::Kind::kOverlay) return parts;
  for (size_t i = overlay + 1; i < plan.mount_count && plan.mounts[i].kind == MountStep::Kind::kLayer; ++i) ++parts.layers;
  const size_t next = overlay + 1 + parts.layers;
  parts.changes = next < plan.mount_count && plan.mounts[next].kind == MountStep::Kind::kChanges;
  return parts;
}

// Steps come in the order of their targets. One whose place is behind a link to what comes later waits for that.
bool CarryOutAll(const ChildPlan& plan, size_t first, const int* sources, int root, OwnFileSystems* own, SetupMessage* failure) {
  bool waits[kMaxMountSteps] = {};
  size_t waiting = 0;
  for (size_t i = first; i < plan.mount_count; ++i) {
    const MountStep& step = plan.mounts[i];
    if (CarryOut(step, sources + i, PartsOf(plan, i), root, own, failure)) continue;
    // What an overlay is made of is used up by the attempt.
    if (step.kind == MountStep::Kind::kOverlay || !LeadsNowhere(root, step.target)) return false;
    waits[i] = true;
    ++waiting;
  }
  // The place of one may be in another that waits. What is left when no more is done has none, and the last failure tells.
  for (bool more = true; waiting > 0;) {
    if (!more) return false;
    more = false;
    for (size_t i = first; i < plan.mount_count; ++i) {
      if (!waits[i]) continue;
      if (CarryOut(plan.mounts[i], sources + i, {}, root, own, failure)) {
        waits[i] = false;
        more = true;
        --waiting;
      } else if (!LeadsNowhere(root, plan.mounts[i].target)) {
        return false;
      }
    }
  }
  return true;
}

// Puts the detached root somewhere, so that it is part of this namespace and can become its root.
bool AttachRoot(int root, SetupMessage* failure) {
  // Any directory will do: all sources are open already, and the old tree is gone in a moment.
  constexpr const char* kPlaces[] = {"/tmp", "/proc", "/usr", "/dev"};
  for (const char* place : kPlaces) {
    if (MoveMount(root, AT_FDCWD, place) == 0) return true;
    if (errno != ENOENT && errno != ENOTDIR) break;
  }
  return Fail(failure, "mount", errno, "attach the new root");
}

}  // namespace

bool Fail(SetupMessage* failure, SetupStep step, int error_number, const char* detail, const char* object) {
  failure->kind = SetupKind::kFailed;
  failure->error_number = error_number;
  CopyText(failure->step, sizeof(failure->step), step.name());
  CopyText(failure->detail, sizeof(failure->detail), detail);
  if (object != nullptr) {
    const size_t length = strlen(failure->detail);
    CopyText(failure->detail + length, sizeof(failure->detail) - length, object);
  }
  return false;
}

int NewTmpfs(const char* size, const char* mode, unsigned attributes, const char* target, SetupMessage* failure) {
  return NewFileSystem("tmpfs", size, mode, nullptr, attributes, target, failure);
}

int OpenMountSource(const MountStep& step, SetupMessage* failure) {
  // The caller resolved the path already; RESOLVE_NO_SYMLINKS makes a component that was swapped for a symlink since
  // an error instead of a way out (CVE-2021-30465 of runc).
  const int place = OpenAt2(AT_FDCWD, step.source, O_PATH | O_CLOEXEC, RESOLVE_NO_SYMLINKS);
  if (place < 0) {
    if (step.optional && (errno == ENOENT || errno == ENOTDIR)) return kAbsentSource;
    Fail(failure, "mount", errno, "open source ", step.source);
    return -1;
  }
  struct stat about = {};
  if (step.device && (fstat(place, &about) != 0 || !(S_ISCHR(about.st_mode) || S_ISBLK(about.st_mode) || S_ISDIR(about.st_mode)))) {
    close(place);
    Fail(failure, "mount", ENODEV, "what is no device any more would be shown as one: ", step.source);
    return -1;
  }
  const int tree = OpenTree(place, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  const int error = errno;
  close(place);
  if (tree < 0) {
    Fail(failure, "mount", error, "open_tree ", step.source);
    return -1;
  }
  mount_attr attributes = {};
  attributes.attr_set = step.attributes;
  // A copy is of the same peer group as the original: what is mounted in it would be mounted on the machine too, and what is
  // mounted there later would appear inside, writable. mount_namespaces(7), "Shared subtrees".
  attributes.propagation = MS_PRIVATE;
  // On the whole tree: a submount that stayed writable is the classic hole (nsjail, /dev/shm). mount_setattr(2).
  if (MountSetattr(tree, AT_RECURSIVE, attributes) != 0) {
    Fail(failure, "mount", errno, "mount_setattr (Linux 5.12 is needed) ", step.source);
    close(tree);
    return -1;
  }
  return tree;
}

bool OpenMountSources(const ChildPlan& plan, int* sources, SetupMessage* failure) {
  for (size_t i = 0; i < plan.mount_count; ++i) {
    const MountStep& step = plan.mounts[i];
    if (!HasSource(step) || step.lent) continue;
    sources[i] = OpenMountSource(step, failure);
    if (sources[i] == -1) return false;
  }
  return true;
}

namespace {

bool BuildRootUnmasked(const ChildPlan& plan, int* sources, SetupMessage* failure) {
  // Nothing that happens here may travel back to the caller's mounts. mount_namespaces(7), "Shared subtrees".
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return Fail(failure, "mount", errno, "make / private");
  }
  OwnFileSystems own;
  size_t first = 0;
  int root = -1;
  bool own_root = true;
  if (plan.mount_count > 0 && plan.mounts[0].target[0] == '\0' && plan.mounts[0].kind == MountStep::Kind::kBind) {
    root = sources[0];
    own_root = false;
    first = 1;
    if (root < 0) return Fail(failure, "mount", ENOENT, "the source of / does not exist");
    own.shows_all = true;
  } else {
    root = NewFileSystem("tmpfs", "4M", "0755", nullptr, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, "", failure);
    if (root < 0) return false;
    own.Add(root);
  }
  if (!AttachRoot(root, failure)) return false;
  if (!CarryOutAll(plan, first, sources, root, &own, failure)) return false;
  if (own_root) {
    mount_attr attributes = {};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (MountSetattr(root, 0, attributes) != 0) return Fail(failure, "mount", errno, "make the root read-only");
  }
  // pivot_root(".", ".") stacks the old root on the new one; detaching it leaves the new one alone. pivot_root(2).
  if (fchdir(root) != 0) return Fail(failure, "pivot_root", errno, "fchdir to the new root");
  close(root);
  if (syscall(SYS_pivot_root, ".", ".") != 0) return Fail(failure, "pivot_root", errno, "pivot_root");
  if (umount2(".", MNT_DETACH) != 0) return Fail(failure, "pivot_root", errno, "detach the old root");
  if (chdir("/") != 0) return Fail(failure, "pivot_root", errno, "chdir to the new root");
  return true;
}

}  // namespace

bool BuildRoot(const ChildPlan& plan, int* sources, SetupMessage* failure) {
  // What is made has the mode that it is made with: the caller's mask, which the child gets, may keep everybody from all.
  const mode_t mask = umask(0);
  const bool built = BuildRootUnmasked(plan, sources, failure);
  umask(mask);
  return built;
}

}  // namespace brood::child
