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

#include "absl/base/options.h"
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

// What an entry's functions take and give, as its source was compiled. A plugin that was built with other versions of these
// would be called with objects that it takes for something else.
#define BROOD_INTERNAL_TEXT2(text) #text
#define BROOD_INTERNAL_TEXT(text) BROOD_INTERNAL_TEXT2(text)
inline constexpr char kTargetAbi[] = "brood 1, Abseil " BROOD_INTERNAL_TEXT(
    ABSL_OPTION_INLINE_NAMESPACE_NAME) ", string ABI " BROOD_INTERNAL_TEXT(_GLIBCXX_USE_CXX11_ABI);

struct TargetEntry {
  const char* abi = kTargetAbi;  // First, also in later versions.
  const char* name;
  AnyFunction function;  // Its identity; never called through this type.
  absl::StatusOr<BoundTarget> (*bind)(const std::vector<TypedValue>& arguments);
  std::string (*signature)();  // "(int32,string)->bool"
  // For many calls in a row, whose types are compared once (by signature): reads the arguments, calls, and writes the
  // value, if there is one, without the types' names. False: the arguments could not be read, and it was not called.
  bool (*call)(WireReader& arguments, WireWriter& value, CallEnd& end);
  const TargetEntry* next = nullptr;
  // Loaded as a plugin's, by a process of one thread: found by its plugin's name and its own only, or a name of the program
  // would mean something else once a plugin has the same.
  mutable bool is_plugins = false;
};

// `entry` must live for ever. Thread-safe. Always true, so that it can initialise something.
//
// A plugin calls that of its program, whatever visibility it is compiled with: see plugin.h.
[[gnu::visibility("default")]] bool RegisterTarget(TargetEntry* entry);

// PATH.so:NAME is looked up by the finder below, which loads the plugin into this process.
//
// Errors: NotFound (nobody registered it), FailedPrecondition (two different functions have that name), those of the finder.
absl::StatusOr<const TargetEntry*> FindTarget(std::string_view name);
absl::StatusOr<const TargetEntry*> FindTarget(AnyFunction function);

// All entries, newest first; null if there are none.
const TargetEntry* NewestTarget();

// Gives null for a name that is none of a plugin's.
using PluginFinder = absl::StatusOr<const TargetEntry*> (*)(std::string_view name);
void SetPluginFinder(PluginFinder finder);

}  // namespace internal

// Name and signature of all registered targets that are no plugin's, newest first.
std::vector<std::pair<std::string, std::string>> RegisteredTargets();

}  // namespace brood

#endif  // BROOD_BOOTSTRAP_REGISTRY_H_
