// What the files of the executor's tests share.
#ifndef BROOD_TESTS_CONFORMANCE_EXECUTOR_H_
#define BROOD_TESTS_CONFORMANCE_EXECUTOR_H_

#include <cstdint>
#include <string>
#include <utility>

#include "launcher/executor.h"
#include "tests/conformance/conformance.h"

namespace brood {

inline constexpr absl::Duration kPatience = absl::Milliseconds(kPatienceMs);

// --- targets: one behaviour each ---

int Square(int x);
int64_t OwnPid();
void Die();                           // Without a word to anybody: executor_linux.cc, executor_windows.cc.
int Throw();
void ExitWith(int code);
void Spin();                          // For ever, with the processor.
std::string Letters(uint64_t count);  // So many.
uint64_t Count(const std::string& letters);

// An initialiser, and what then uses the descriptor that it left.
void HoldDescriptor(UniqueFd pipe);
void WaitForHeld();  // Until its last writer is gone.
void WriteToHeld(char byte);

extern const int64_t kDeathCode;      // What the outcome of Die gives as exit code.

// From outside.
void EndOther(int pid);

class ExecutorTest : public ConformanceTest {
 protected:
  // With one worker unless told.
  Executor Make(ExecutorOptions options = {}) {
    if (options.workers == 0) options.workers = 1;
    return Executor::Create(context_, std::move(options)).value();
  }
};

}  // namespace brood

#endif  // BROOD_TESTS_CONFORMANCE_EXECUTOR_H_
