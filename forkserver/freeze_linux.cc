#include <fcntl.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "forkserver/freeze.h"
#include "forkserver/freeze_checks.h"
#include "forkserver/freeze_plan.h"
#include "forkserver/move_pages_child.h"
#include "forkserver/smaps.h"

namespace brood {
namespace {

using internal::FreezePlan;
using internal::Mapping;

// Memory that is not moved, because it is shared: with nobody.
class Scratch {
 public:
  static constexpr size_t kTextBytes = size_t{128} << 20;  // 65,530 mappings, as many as there can be, have half of that.
  static constexpr size_t kListBytes = size_t{128} << 20;
  static constexpr size_t kWindowBytes = child::kMoveWindow + child::kHugeBlock;
  static constexpr size_t kLeastPage = 4096;
  static constexpr size_t kEntryBytes = child::kMoveWindow / kLeastPage * 8;
  static constexpr size_t kBytes = kTextBytes + kListBytes + kEntryBytes + kWindowBytes;

  Scratch() = default;
  ~Scratch() {
    if (base_ != MAP_FAILED) munmap(base_, kBytes);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  absl::Status Map() {
    base_ = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base_ == MAP_FAILED) return ErrnoStatus(errno, "freeze: map", "scratch memory", "see `ulimit -v`");
    return absl::OkStatus();
  }
  char* text() const { return static_cast<char*>(base_); }
  char* list() const { return text() + kTextBytes; }
  uint64_t* entries() const { return reinterpret_cast<uint64_t*>(list() + kListBytes); }
  // Of kMoveWindow bytes.
  char* window() const {
    const auto first = reinterpret_cast<uintptr_t>(list() + kListBytes + kEntryBytes);
    return reinterpret_cast<char*>((first + child::kHugeBlock - 1) & ~(child::kHugeBlock - 1));
  }
  bool Holds(const Mapping& mapping) const {
    const auto first = reinterpret_cast<uintptr_t>(base_);
    return mapping.start >= first && mapping.start < first + kBytes;
  }

 private:
  void* base_ = MAP_FAILED;
};

// The kernel joins neighbours of one file that have the same protection; those that were moved have it already. A security
// module may refuse it, and a part that could not be moved stays apart.
size_t Coalesce(const std::pmr::vector<internal::CodeRun>& runs) {
  size_t gone = 0;
  for (const internal::CodeRun& run : runs) {
    const bool joined = mprotect(reinterpret_cast<void*>(run.start), run.end - run.start, PROT_READ | PROT_EXEC) == 0;
    gone += joined ? run.mappings - 1 : 0;
  }
  return gone;
}

class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// The limit holds for memory files, too, and our offsets are large.
class AnyFileSize {
 public:
  AnyFileSize() {
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit most = before_;
    most.rlim_cur = most.rlim_max;
    ok_ = most.rlim_max == RLIM_INFINITY && setrlimit(RLIMIT_FSIZE, &most) == 0;
  }
  ~AnyFileSize() {
    if (ok_) setrlimit(RLIMIT_FSIZE, &before_);
  }
  AnyFileSize(const AnyFileSize&) = delete;
  AnyFileSize& operator=(const AnyFileSize&) = delete;
  bool ok() const { return ok_; }

 private:
  rlimit before_ = {};
  bool ok_ = false;
};

absl::StatusOr<UniqueFd> MemoryFile(uint64_t size) {
  constexpr unsigned kNoExecSeal = 8;  // MFD_NOEXEC_SEAL, of Linux 6.3. memfd_create(2)
  UniqueFd file(memfd_create(internal::kFrozenName, MFD_CLOEXEC | MFD_ALLOW_SEALING | kNoExecSeal));
  if (!file.valid()) file.reset(memfd_create(internal::kFrozenName, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid()) return ErrnoStatus(errno, "freeze: memfd_create");
  if (ftruncate(file.get(), static_cast<off_t>(size)) != 0) return ErrnoStatus(errno, "freeze: extend", "the memory file");
  return file;
}

// As glibc has registered it; it does not tell with which length, which has to be the same.
absl::StatusOr<child::RseqArea> UnregisterRseq() {
  child::RseqArea area;
  if (__rseq_size == 0) return area;
  area.address = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  area.signature = RSEQ_SIG;
  constexpr unsigned long kFeatureSize = 27;  // AT_RSEQ_FEATURE_SIZE, getauxval(3)
  for (const unsigned long length : {32ul, static_cast<unsigned long>(__rseq_size), (getauxval(kFeatureSize) + 31) / 32 * 32}) {
    area.length = static_cast<uint32_t>(length);
    if (child::Unregister(area)) return area;
  }
  return absl::FailedPreconditionError("freeze: the kernel writes to the rseq area of this thread, and it cannot be unregistered");
}

// What is done between the look at the mappings and the last move: nothing here may allocate, or write to what is moved.
class Freezer {
 public:
  explicit Freezer(const FreezeOptions& options)
      : options_(options),
        page_size_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {}

  absl::StatusOr<FreezeReport> Run() {
    const uint64_t begun = child::MonotonicNanoseconds();
    const AnyFileSize any_size;
    if (!any_size.ok()) {
      return absl::FailedPreconditionError("freeze: RLIMIT_FSIZE limits files, those in memory, too; see `ulimit -f -H`");
    }
    BROOD_RETURN_IF_ERROR(scratch_.Map());
    const UniqueFd pagemap(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    if (!pagemap.valid()) return ErrnoStatus(errno, "freeze: open", "/proc/self/pagemap");
    const AllSignalsBlocked blocked;
    FreezeReport report;
    try {
      BROOD_RETURN_IF_ERROR(Move(pagemap.get(), report));
    } catch (const std::bad_alloc&) {  // Before anything has moved.
      return absl::ResourceExhaustedError("freeze: the list of mappings is longer than there is memory for it");
    }
    report.time = absl::Nanoseconds(static_cast<int64_t>(child::MonotonicNanoseconds() - begun));
    return report;
  }

 private:
  absl::Status Move(int pagemap, FreezeReport& report);

  const FreezeOptions& options_;
  const size_t page_size_;
  Scratch scratch_;
};

absl::Status Freezer::Move(int pagemap, FreezeReport& report) {
  std::pmr::monotonic_buffer_resource memory(scratch_.list(), Scratch::kListBytes, std::pmr::null_memory_resource());
  BROOD_ASSIGN_OR_RETURN(const std::string_view text, internal::ReadSmaps(scratch_.text(), Scratch::kTextBytes));
  BROOD_ASSIGN_OR_RETURN(const std::pmr::vector<Mapping> mappings, internal::ParseSmaps(text, &memory));
  const std::pmr::vector<internal::CodeRun> code = internal::FindCodeRuns(mappings, options_.coalesce, &memory);
  FreezePlan plan =
      internal::PlanFreeze(mappings, code, reinterpret_cast<uintptr_t>(__builtin_frame_address(0)), options_, &memory);
  BROOD_ASSIGN_OR_RETURN(const UniqueFd file, MemoryFile(plan.file_bytes));

  child::MovePages work;
  work.file = file.get();
  work.pagemap = pagemap;
  work.page_size = page_size_;
  work.mappings = plan.moved.data();
  work.count = plan.moved.size();
  work.huge = options_.huge_pages == FreezeOptions::HugePages::kWherePaying;
  work.window = scratch_.window();
  work.entries = scratch_.entries();
  BROOD_ASSIGN_OR_RETURN(const child::RseqArea rseq, UnregisterRseq());
  child::MoveIntoFile(&work);
  child::Register(rseq);
  const int sealed = fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  const int seal_error = errno;

  // From here on we may allocate.
  report.coalesced = Coalesce(code);
  report.moved_bytes = work.moved_bytes;
  report.copied_bytes = work.copied_bytes;
  report.huge_bytes = work.huge_bytes;
  for (const Mapping& mapping : mappings) report.mappings_before += !scratch_.Holds(mapping);
  for (const FreezePlan::Left& left : plan.left) {
    if (scratch_.Holds(*left.mapping)) continue;
    report.left.push_back({left.mapping->start, left.mapping->end, std::string(left.mapping->name), left.reason});
  }
  for (const child::MovedMapping& moved : plan.moved) {
    if (moved.error == 0) continue;
    const auto mapping = std::find_if(mappings.begin(), mappings.end(), [&](const Mapping& one) { return one.start == moved.start; });
    report.left.push_back({moved.start, moved.end, std::string(mapping->name), ErrnoText(moved.error)});
  }
  return sealed == 0 ? absl::OkStatus() : ErrnoStatus(seal_error, "freeze: seal", "the memory file");
}

std::string Size(uint64_t bytes) {
  constexpr double kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;
  const auto size = static_cast<double>(bytes);
  if (size >= kGiB) return absl::StrFormat("%.1f GiB", size / kGiB);
  return size >= kMiB ? absl::StrFormat("%.1f MiB", size / kMiB) : absl::StrFormat("%.0f KiB", size / kKiB);
}

absl::StatusOr<size_t> CountMappings() {
  BROOD_ASSIGN_OR_RETURN(const std::string text, internal::ReadSmaps());
  BROOD_ASSIGN_OR_RETURN(const auto mappings, internal::ParseSmaps(text, std::pmr::new_delete_resource()));
  return mappings.size();
}

}  // namespace

std::string FreezeReport::ToString() const {
  std::string text = absl::StrCat("froze ", Size(copied_bytes), " in ", absl::FormatDuration(absl::Trunc(time, absl::Milliseconds(1))));
  if (huge_bytes > 0) absl::StrAppend(&text, ", ", Size(huge_bytes), " in huge pages");
  const char* separator = "; left ";
  for (const Left& one : left) {
    absl::StrAppend(&text, separator, one.name.empty() ? absl::StrFormat("%x-%x", one.start, one.end) : one.name, ": ", one.reason);
    separator = ", ";
  }
  return text;
}

absl::StatusOr<FreezeReport> FreezeProcess(const FreezeOptions& options) {
  BROOD_RETURN_IF_ERROR(internal::CheckFreezable());
  absl::StatusOr<FreezeReport> report = Freezer(options).Run();
  if (!report.ok()) return report;
  BROOD_ASSIGN_OR_RETURN(report->mappings_after, CountMappings());
  return report;
}

absl::StatusOr<FrozenTaint> ReadFrozenTaint() {
  BROOD_ASSIGN_OR_RETURN(const std::string text, internal::ReadSmaps());
  BROOD_ASSIGN_OR_RETURN(const auto mappings, internal::ParseSmaps(text, std::pmr::new_delete_resource()));
  FrozenTaint taint;
  for (const Mapping& mapping : mappings) {
    if (!internal::IsFrozen(mapping)) continue;
    const uint64_t written = mapping.anonymous_bytes + mapping.swap_bytes;
    taint.mappings.push_back({.start = mapping.start, .end = mapping.end, .written_bytes = written});
    taint.frozen_bytes += mapping.size();
    taint.written_bytes += written;
  }
  return taint;
}

}  // namespace brood
