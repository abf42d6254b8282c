#include "bootstrap/json_arguments.h"

#include <utility>

#include "bootstrap/run_child.h"
#include "serialization/json_value.h"

namespace brood {
namespace {

// Before main: a spawned child reads its arguments in Bootstrap.
[[maybe_unused]] const bool g_reads = [] {
  internal::SetArgumentReader(
      [](std::string_view signature, std::vector<TypedValue>& arguments) {
        return ReadJsonArguments(signature, internal::kJsonType, arguments);
      });
  return true;
}();

}  // namespace

TypedValue JsonArgument(std::string json) {
  return {.type = internal::kJsonType, .bytes = std::move(json), .handles = {}};
}

}  // namespace brood
