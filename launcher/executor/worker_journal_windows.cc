#include <windows.h>

#include <cstring>

#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "launcher/executor/worker_journal.h"

namespace brood::internal {
namespace {

// Mapped: nobody can make a section smaller, or take it away.
class SectionJournal : public WorkerJournal {
 public:
  explicit SectionJournal(void* view) : view_(view) {}
  SectionJournal(const SectionJournal&) = delete;
  SectionJournal& operator=(const SectionJournal&) = delete;
  ~SectionJournal() override { UnmapViewOfFile(view_); }

  bool ReadHeader(Words& words) const override {
    const JournalHeader& now = header();
    words = {now.task.load(), now.first.load(), now.progress.load(), now.began_ns.load(), now.stop.load()};
    return true;
  }
  bool ReadResults(char* to, size_t size) const override {
    std::memcpy(to, &header() + 1, size);
    return true;
  }
  void WriteStop(uint64_t request) override { header().stop.store(request); }

 private:
  JournalHeader& header() const { return *static_cast<JournalHeader*>(view_); }
  void* const view_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerJournal>> WorkerJournal::Make(UniqueFd* worker) {
  UniqueFd section = Own(CreateFileMappingW(INVALID_HANDLE_VALUE, nullptr, PAGE_READWRITE, 0, kJournalBytes, nullptr));
  if (!section.valid()) return LastErrorStatus("CreateFileMapping", "for the worker's journal");
  void* const view = MapViewOfFile(HandleOf(section.get()), FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, kJournalBytes);
  if (view == nullptr) return LastErrorStatus("MapViewOfFile", "the worker's journal");
  *worker = std::move(section);
  return std::make_unique<SectionJournal>(view);
}

}  // namespace brood::internal
