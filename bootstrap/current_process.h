// What this process is to brood: its name, and who started it.
//
//   CurrentProcess().name                        // "MainProcess", or what the parent called it: "SpawnProcess-1".
//   if (const Parent* parent = ParentProcess()) parent->Join(absl::Seconds(5));   // Ends when the parent does.
//
// As multiprocessing.current_process() and parent_process(). Thread-safe.
#ifndef BROOD_BOOTSTRAP_CURRENT_PROCESS_H_
#define BROOD_BOOTSTRAP_CURRENT_PROCESS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "serialization/messages.h"

namespace brood {

struct ProcessIdentity {
  std::string name = "MainProcess";
  // The place in the tree: {2, 1} is the first process that the second one of the main process made. Empty in that.
  std::vector<uint32_t> numbers;
  bool daemon = false;
  std::optional<StartMethod> start_method;  // How this process was born; nothing in the main process.
};

const ProcessIdentity& CurrentProcess();

// The process that started this one. Its children do not outlive it for long: each has a guardian that ends it then, so
// that what is seen here is seen for a moment only.
class Parent {
 public:
  const std::string& name() const { return name_; }
  int64_t pid() const { return pid_; }  // In the parent's own pid namespace; it stays what it was.
  bool IsAlive() const;

  // Waits until it has ended. Errors: DeadlineExceeded.
  absl::Status Join(absl::Duration timeout = absl::InfiniteDuration()) const;

  // Readable when it has ended. Borrowed: poll it, read nothing from it.
  int sentinel() const { return sentinel_; }

  Parent(std::string name, int64_t pid, int sentinel) : name_(std::move(name)), pid_(pid), sentinel_(sentinel) {}

 private:
  std::string name_;
  int64_t pid_;
  int sentinel_;
};

// Null in a process that nobody started through brood.
const Parent* ParentProcess();

namespace internal {

// Called once, by the child's bootstrap. `sentinel` must stay open.
void SetCurrentProcess(const PreparationData& preparation, const ProcessData& process, int sentinel);

// Who this process is, of one copy of brood for another one in the same process: plugin_link.h.
const void* SharedProcessFacts();
void UseProcessFacts(const void* shared);

}  // namespace internal
}  // namespace brood

#endif  // BROOD_BOOTSTRAP_CURRENT_PROCESS_H_
