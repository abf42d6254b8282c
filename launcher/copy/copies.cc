#include "launcher/copy/copies.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/given_file.h"
#include "base/status.h"

namespace brood {
namespace {

absl::Status CheckInside(std::string_view what, const std::string& path) {
  if (path.empty() || path[0] != '/' || path.back() == '/' || path.size() >= PATH_MAX || path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": \"", path, "\" must be the absolute path of a file inside"));
  }
  for (const std::string_view part : absl::StrSplit(path.substr(1), '/')) {
    if (part != ".." && part != "." && !part.empty()) continue;
    return absl::InvalidArgumentError(absl::StrCat(what, ": \"", path, "\" must not contain \"..\", \".\" or \"//\""));
  }
  return absl::OkStatus();
}

// What must not be replaced: root would take /dev/null away from the whole machine, or /dev/stdout, which is a link. Other links are.
const char* KindThatStays(int directory, const char* name) {
  struct stat status = {};
  if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return nullptr;
  if (S_ISDIR(status.st_mode)) return "a directory";
  if (S_ISLNK(status.st_mode)) {
    char to[16] = {};
    if (readlinkat(directory, name, to, sizeof(to) - 1) > 0 && strncmp(to, "/proc/", 6) == 0) return "a link to a descriptor";
    if (fstatat(directory, name, &status, 0) != 0 || S_ISDIR(status.st_mode)) return nullptr;
  }
  if (S_ISREG(status.st_mode)) return nullptr;
  return S_ISFIFO(status.st_mode) ? "a FIFO" : S_ISSOCK(status.st_mode) ? "a socket" : "a device";
}

bool IsSameDirectory(int one, int other) {
  struct stat a, b;
  return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

std::string BesideName() {
  static std::atomic<uint64_t> number{0};
  return absl::StrCat(".brood-", getpid(), "-", number++);
}

}  // namespace

absl::StatusOr<Copies> Copies::Prepare(const std::vector<CopyIn>& in, const std::vector<CopyOut>& out, const UntrustedDirectories& writable) {
  if (in.size() > kMaxCopies || out.size() > kMaxCopies) {
    return absl::InvalidArgumentError(absl::StrCat("copies: at most ", kMaxCopies, " files each way"));
  }
  Copies copies;
  for (const auto& [source, destination] : in) {
    BROOD_RETURN_IF_ERROR(CheckInside("copy-in", destination));
    // Not waiting for who would write into a FIFO.
    UniqueFd file = OpenGivenFile(writable, source, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!file.valid()) return ErrnoStatus(errno, "copy-in: open", source);
    struct stat status = {};
    if (fstat(file.get(), &status) != 0) return ErrnoStatus(errno, "copy-in: stat", source);
    if (!S_ISREG(status.st_mode)) return absl::InvalidArgumentError(absl::StrCat("copy-in: ", source, ": is no regular file"));
    copies.ins_.push_back({std::move(file), destination, (status.st_mode & 0111) != 0 ? 0755u : 0644u});
  }
  for (const CopyOut& asked : out) {
    BROOD_RETURN_IF_ERROR(CheckInside("copy-out", asked.source));
    const size_t slash = asked.destination.rfind('/');
    Out prepared;
    prepared.asked = asked;
    prepared.name = slash == std::string::npos ? asked.destination : asked.destination.substr(slash + 1);
    const std::string directory = slash == std::string::npos ? "." : asked.destination.substr(0, slash + 1);
    if (prepared.name.empty() || prepared.name == "." || prepared.name == ".." || asked.destination.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("copy-out: \"", asked.destination, "\" must be the path of a file"));
    }
    // Held from before the child starts: where the path leads afterwards may be its doing.
    prepared.directory = OpenGivenFile(writable, directory, O_RDONLY | O_DIRECTORY);
    if (!prepared.directory.valid()) return ErrnoStatus(errno, "copy-out: open directory", directory);
    // What cannot have its name would be found out when the child has done its work.
    if (faccessat(prepared.directory.get(), prepared.name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENAMETOOLONG) {
      return ErrnoStatus(errno, "copy-out", asked.destination);
    }
    if (const char* const kind = KindThatStays(prepared.directory.get(), prepared.name.c_str()); kind != nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("copy-out: ", asked.destination, ": is ", kind, ", in whose place no file is put"));
    }
    for (const Out& other : copies.outs_) {
      if (other.name != prepared.name || !IsSameDirectory(other.directory.get(), prepared.directory.get())) continue;
      return absl::InvalidArgumentError(absl::StrCat("copy-out: ", other.asked.source, " and ", asked.source, " cannot both become ",
                                                     asked.destination, "; give one of them another name"));
    }
    // Without a name if the file system can: then nothing is left of it if we are killed. open(2), O_TMPFILE.
    prepared.sink.reset(openat(prepared.directory.get(), ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666));
    if (!prepared.sink.valid()) {
      prepared.beside = BesideName();
      prepared.sink.reset(openat(prepared.directory.get(), prepared.beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
      if (!prepared.sink.valid()) prepared.beside.clear();
    }
    if (!prepared.sink.valid()) return ErrnoStatus(errno, "copy-out: write to directory", directory);
    copies.outs_.push_back(std::move(prepared));
  }
  return copies;
}

Copies::~Copies() {
  for (Out& out : outs_) {
    if (!out.beside.empty()) unlinkat(out.directory.get(), out.beside.c_str(), 0);
  }
}

void Copies::Abandon() {
  for (In& in : ins_) (void)in.source.release();
  for (Out& out : outs_) {
    out.beside.clear();
    (void)out.directory.release();
    (void)out.sink.release();
  }
}

CopyRecord Copies::Record() const {
  CopyRecord record;
  for (const In& in : ins_) record.in[record.in_count++] = {in.source.get(), in.destination.c_str(), in.mode};
  for (const Out& out : outs_) record.out[record.out_count++] = {out.asked.source.c_str(), out.sink.get(), out.asked.max_bytes};
  return record;
}

// Gives what went wrong, or "".
std::string Copies::Keep(Out& out) {
  const int directory = out.directory.get();
  if (out.beside.empty()) {
    out.beside = BesideName();
    if (linkat(AT_FDCWD, absl::StrCat("/proc/self/fd/", out.sink.get()).c_str(), directory, out.beside.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      const std::string problem = absl::StrCat("link: ", SystemErrorText(errno));
      out.beside.clear();
      return problem;
    }
  }
  // In the place of whatever has the name now, a symbolic link too.
  if (renameat(directory, out.beside.c_str(), directory, out.name.c_str()) != 0) return absl::StrCat("rename: ", SystemErrorText(errno));
  out.beside.clear();
  return "";
}

std::vector<CopiedFile> Copies::Finish(const CopyResult* results, size_t count) {
  std::vector<CopiedFile> files;
  for (size_t i = 0; i < outs_.size(); ++i) {
    const CopyResult result = i < count ? results[i] : CopyResult{};
    CopiedFile& file = files.emplace_back();
    file.source = outs_[i].asked.source;
    file.destination = outs_[i].asked.destination;
    file.bytes = result.bytes;
    switch (result.problem) {
      case CopyProblem::kNone:
        file.problem = Keep(outs_[i]);
        break;
      case CopyProblem::kNotTried:
        file.problem = "not tried: the child did not start, or its tree did not end";
        break;
      case CopyProblem::kFailed:
        if (result.error_number == ENOENT) {
          file.problem = "missing";
        } else if (result.error_number == ELOOP) {
          file.problem = "a symbolic link, or behind one";
        } else {
          file.problem = SystemErrorText(result.error_number);
        }
        break;
      case CopyProblem::kNoFile:
        file.problem = "no regular file";
        break;
      case CopyProblem::kSeveralNames:
        file.problem = "has several names (hard links)";
        break;
      case CopyProblem::kTooLarge:
        file.problem = absl::StrCat("too large: ", result.bytes, " bytes, at most ", outs_[i].asked.max_bytes);
        break;
      case CopyProblem::kSink:
        file.problem = absl::StrCat("write: ", SystemErrorText(result.error_number));
        break;
    }
    if (!file.problem.empty() && result.problem != CopyProblem::kTooLarge) file.bytes = 0;
  }
  // What was not kept goes.
  *this = Copies();
  return files;
}

}  // namespace brood
