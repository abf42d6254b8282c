// From the messages to the end of the process: what both start methods do in a child.
#ifndef BROOD_BOOTSTRAP_RUN_CHILD_H_
#define BROOD_BOOTSTRAP_RUN_CHILD_H_

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "serialization/messages.h"

namespace brood {
namespace internal {

// The exit code of a child that could not begin.
inline constexpr int kBootstrapFailedCode = 125;

// Prepares, says on process.setup_handle that the target runs, runs it, leaves its result on process.result_handle,
// runs finalizers, flushes, ends with the exit code that DESIGN.md gives.
//
// Noexcept: beyond it lie, in a forked child, the frames of its parent, which must not run twice.
[[noreturn]] void RunChild(const PreparationData& preparation, ProcessData&& process) noexcept;

// Seeds rand(3) and random(3), so that a child neither repeats its parent's numbers nor its siblings'. Only where no other
// thread can have held the C library's lock of them at a fork.
void SeedRandom(unsigned seed);
unsigned RandomSeed();  // One that nobody can foresee.

// Says why the target never ran: on stderr, and on `setup_handle` unless it is -1.
[[noreturn]] void FailBootstrap(int setup_handle, const absl::Status& status);

// An argument whose type is this is JSON text, which becomes a value of the parameter's type in the child: nobody else knows
// that of a plugin's target. `read` does so for all arguments of a target with that signature (json_arguments.h sets it).
inline constexpr char kJsonType[] = "json";
void SetArgumentReader(absl::Status (*read)(std::string_view signature, std::vector<TypedValue>& arguments));

// What the parent said of this process; null in a process that nobody started through brood.
const PreparationData* CurrentPreparation();

}  // namespace internal
}  // namespace brood

#endif  // BROOD_BOOTSTRAP_RUN_CHILD_H_
