// The functions that a child may be asked to run, by name. Filled by BROOD_TARGET (target.h); not for users.
//
// An intrusive list of constants: registering allocates nothing and takes no lock, so it works from static
// initialisers, from a plugin's, and in a fork of any process.
#ifndef BROOD_BOOTSTRAP_REGISTRY_H_
#define BROOD_BOOTSTRAP_REGISTRY_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "serialization/value.h"
#include "serialization/wire.h"

namespace brood {
namespace internal {

// What a target gave.
struct TargetResult {
  std::optional<TypedValue> value;  // Nothing for void and Status.
  absl::Status status;              // The target's own.
  int exit_code = 0;                // Of an exit-style target.
};

// How a call ended that wrote its value elsewhere: as in TargetResult.
struct CallEnd {
  absl::Status status;
  int exit_code = 0;
};

// A target with its arguments: runs once.
using BoundTarget = std::function<TargetResult()>;

using AnyFunction = void (*)();

struct TargetEntry {
  const char* name;
  AnyFunction function;  // Its identity; never called through this type.
  absl::StatusOr<BoundTarget> (*bind)(const std::vector<TypedValue>& arguments);
  std::string (*signature)();  // "(int32,string)->bool"
  // For many calls in a row, whose types are compared once (by signature): reads the arguments, calls, and writes the
  // value, if there is one, without the types' names. False: the arguments could not be read, and it was not called.
  bool (*call)(WireReader& arguments, WireWriter& value, CallEnd& end);
  const TargetEntry* next = nullptr;
};

// `entry` must live for ever. Thread-safe. Always true, so that it can initialise something.
bool RegisterTarget(TargetEntry* entry);

// Errors: NotFound (nobody registered it), FailedPrecondition (two different functions have that name).
absl::StatusOr<const TargetEntry*> FindTarget(std::string_view name);
absl::StatusOr<const TargetEntry*> FindTarget(AnyFunction function);

}  // namespace internal

// Name and signature of all registered targets, newest first.
std::vector<std::pair<std::string, std::string>> RegisteredTargets();

}  // namespace brood

#endif  // BROOD_BOOTSTRAP_REGISTRY_H_
