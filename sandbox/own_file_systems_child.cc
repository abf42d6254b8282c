#include "sandbox/own_file_systems_child.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "sandbox/mount_api_child.h"
#include "sandbox/mounts_child.h"

namespace brood::child {

int OpenInRoot(int root, const char* path, uint64_t flags) {
  // RESOLVE_IN_ROOT: no symlink, absolute or with "..", leads out of the tree that is being built. openat2(2).
  return OpenAt2(root, path, flags | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

namespace {

// Of what ResolvePlace has given: a link that is there by now was put there meanwhile.
int OpenPlace(int root, const OwnFileSystems& own, const char* place, uint64_t flags) {
  return own.shows_writable ? OpenAt2(root, place, flags | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS) : OpenInRoot(root, place, flags);
}

// Nobody before us had what is made here, and what is read-only here is the caller's to say.
bool IsTrusted(int directory, const OwnFileSystems& own) {
  struct stat status;
  struct statvfs system;
  return fstat(directory, &status) == 0 && (own.Has(status.st_dev) || (fstatvfs(directory, &system) == 0 && (system.f_flag & ST_RDONLY) != 0));
}

// `path` with "." and ".." taken out, in place: of a path without links that is what they mean.
void Normalize(char* path) {
  char* end = path;
  for (const char* at = path; *at != '\0';) {
    while (*at == '/') ++at;
    const size_t length = strcspn(at, "/");
    if (length == 0) break;
    if (length == 2 && at[0] == '.' && at[1] == '.') {
      while (end > path && *--end != '/') {
      }
    } else if (length != 1 || at[0] != '.') {
      if (end > path) *end++ = '/';
      memmove(end, at, length);
      end += length;
    }
    at += length;
  }
  *end = '\0';
}

// The link that is the first part of `path` to be one, from `*begin` to `*end`: an O_PATH descriptor, and that of its directory. -1: none.
int FindLink(int root, const char* path, size_t* begin, size_t* end, int* directory) {
  *directory = OpenInRoot(root, ".", O_PATH | O_DIRECTORY);
  for (*begin = 0; *directory >= 0 && path[*begin] != '\0'; *begin = *end + (path[*end] == '/' ? 1 : 0)) {
    char part[NAME_MAX + 1];
    const size_t length = strcspn(path + *begin, "/");
    *end = *begin + length;
    if (length >= sizeof(part)) break;
    memcpy(part, path + *begin, length);
    part[length] = '\0';
    const int child = openat(*directory, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (child >= 0 && fstat(child, &status) == 0 && S_ISLNK(status.st_mode)) return child;
    close(*directory);
    *directory = child;
  }
  if (*directory >= 0) close(*directory);
  return -1;
}

}  // namespace

bool ResolvePlace(int root, const OwnFileSystems& own, const char* target, char (&place)[kMaxPath]) {
  if (strlen(target) >= sizeof(place)) {
    errno = ENAMETOOLONG;
    return false;
  }
  memcpy(place, target, strlen(target) + 1);
  if (!own.shows_writable) return true;
  char longer[2 * kMaxPath];
  for (int links = 0; links < 40; ++links) {  // As many as the kernel follows. path_resolution(7)
    Normalize(place);
    size_t begin = 0;
    size_t end = 0;
    int directory = -1;
    const int link = FindLink(root, place, &begin, &end, &directory);
    if (link < 0) return true;
    const bool trusted = IsTrusted(directory, own);
    const ssize_t length = readlinkat(link, "", longer + begin, kMaxPath);
    close(link);
    close(directory);
    if (!trusted || length < 0) break;
    const char behind = place[end];
    place[end] = '\0';
    const int there = OpenInRoot(root, place, O_PATH);
    if (there < 0) return false;
    close(there);
    place[end] = behind;
    const bool absolute = length > 0 && longer[begin] == '/';
    if (!absolute) memcpy(longer, place, begin);
    const char* const from = absolute ? longer + begin : longer;
    const size_t size = static_cast<size_t>(length) + (absolute ? 0 : begin);
    const size_t rest = strlen(place + end);
    if (size + rest >= sizeof(place)) break;
    memmove(place + size, place + end, rest + 1);
    memcpy(place, from, size);
  }
  errno = ELOOP;
  return false;
}

bool ResolveParent(int root, const OwnFileSystems& own, const char* target, char (&place)[kMaxPath]) {
  const char* const slash = strrchr(target, '/');
  if (slash == nullptr || !own.shows_writable || strlen(target) >= sizeof(place)) return ResolvePlace(root, own, target, place);
  char parent[kMaxPath];
  const size_t length = static_cast<size_t>(slash - target);
  memcpy(parent, target, length);
  parent[length] = '\0';
  if (!ResolvePlace(root, own, parent, place)) return false;
  const size_t size = strlen(place);
  const char* const last = size == 0 ? slash + 1 : slash;
  if (size + strlen(last) >= sizeof(place)) {
    errno = ENAMETOOLONG;
    return false;
  }
  memcpy(place + size, last, strlen(last) + 1);
  return true;
}

int OpenParent(int root, const OwnFileSystems& own, const char* place, const char** last) {
  char path[kMaxPath];
  const size_t length = strlen(place);
  if (length >= sizeof(path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  const char* slash = strrchr(place, '/');
  *last = slash != nullptr ? slash + 1 : place;
  if (slash == nullptr) return OpenInRoot(root, ".", O_PATH | O_DIRECTORY);

  int directory = OpenInRoot(root, ".", O_PATH | O_DIRECTORY);
  for (size_t end = 0; directory >= 0 && place + end < slash;) {
    const char* next = strchr(place + end, '/');
    const size_t begin = end;
    end = static_cast<size_t>(next - place);
    memcpy(path, place, end);
    path[end] = '\0';
    int child = OpenPlace(root, own, path, O_PATH | O_DIRECTORY);
    if (child < 0 && errno == ENOENT) {
      struct stat status;
      if (fstat(directory, &status) != 0 || !own.Has(status.st_dev)) {
        close(directory);
        errno = EROFS;
        return -1;
      }
      if (mkdirat(directory, path + begin, 0755) != 0 && errno != EEXIST) {
        const int saved = errno;
        close(directory);
        errno = saved;
        return -1;
      }
      child = OpenPlace(root, own, path, O_PATH | O_DIRECTORY);
    }
    const int saved = errno;
    close(directory);
    errno = saved;
    directory = child;
    ++end;
  }
  return directory;
}

int OpenMountPoint(int root, const OwnFileSystems& own, const char* target, bool directory, SetupMessage* failure) {
  char resolved[kMaxPath];
  if (!ResolvePlace(root, own, target, resolved)) {
    Fail(failure, "mount", errno, errno == ELOOP ? "a link, in what may be written to, is on the way to the mount point /" : "find the mount point /", target);
    return -1;
  }
  const char* const place = resolved[0] != '\0' ? resolved : ".";
  int fd = OpenPlace(root, own, place, O_PATH);
  if (fd < 0 && errno == ENOENT) {
    const char* last = nullptr;
    const int parent = OpenParent(root, own, place, &last);
    struct stat status;
    if (parent < 0 || fstat(parent, &status) != 0 || !own.Has(status.st_dev)) {
      const int saved = parent < 0 ? errno : EROFS;
      if (parent >= 0) close(parent);
      Fail(failure, "mount", saved, "the mount point does not exist, and brood makes none in what is shown of the host; make it there, or show what it is in by --overlay: /",
           target);
      return -1;
    }
    int error = 0;
    if (directory) {
      if (mkdirat(parent, last, 0755) != 0 && errno != EEXIST) error = errno;
    } else {
      const int file = openat(parent, last, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0444);
      if (file < 0) error = errno;
      if (file >= 0) close(file);
    }
    close(parent);
    if (error != 0) {
      Fail(failure, "mount", error, "create mount point /", target);
      return -1;
    }
    fd = OpenPlace(root, own, place, O_PATH);
  }
  if (fd < 0) {
    Fail(failure, "mount", errno, "open mount point /", target);
    return -1;
  }
  struct stat status;
  if (fstat(fd, &status) != 0 || S_ISDIR(status.st_mode) != directory) {
    Fail(failure, "mount", directory ? ENOTDIR : EISDIR, "source and mount point must both be directories or both files: /",
         target);
    close(fd);
    return -1;
  }
  return fd;
}

}  // namespace brood::child
