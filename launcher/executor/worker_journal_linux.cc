#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "base/status.h"
#include "launcher/executor/worker_journal.h"

namespace brood::internal {
namespace {

// Not mapped here: a worker that cuts its journal short would end this process. mmap(2), SIGBUS.
class FileJournal : public WorkerJournal {
 public:
  explicit FileJournal(UniqueFd file) : file_(std::move(file)) {}
  bool ReadHeader(Words& words) const override {
    return pread(file_.get(), words.data(), sizeof(words), 0) == static_cast<ssize_t>(sizeof(words));
  }
  bool ReadResults(char* to, size_t size) const override {
    return pread(file_.get(), to, size, sizeof(JournalHeader)) == static_cast<ssize_t>(size);
  }
  void WriteStop(uint64_t request) override {
    (void)!pwrite(file_.get(), &request, sizeof(request), offsetof(JournalHeader, stop));
  }

 private:
  UniqueFd file_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerJournal>> WorkerJournal::Make(UniqueFd* worker) {
  UniqueFd file(memfd_create("brood-journal", MFD_CLOEXEC));
  if (!file.valid() || ftruncate(file.get(), kJournalBytes) != 0) {
    return ErrnoStatus(errno, "memfd_create", "for the worker's journal");
  }
  *worker = Duplicate(file.get());
  if (!worker->valid()) return ErrnoStatus(errno, "dup", "the worker's journal");
  return std::make_unique<FileJournal>(std::move(file));
}

}  // namespace brood::internal
