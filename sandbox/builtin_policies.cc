#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "sandbox/builtin_policy_files.h"
#include "sandbox/policy.h"
#include "sandbox/policy_flatbuffer.h"

namespace brood {
namespace {

struct Builtin {
  std::string_view name;
  std::string_view (*binary)();
  std::string_view (*text)();
};

constexpr std::array<Builtin, 4> kBuiltins = {{
    {"strict", StrictPolicyBinary, StrictPolicyText},
    {"default", DefaultPolicyBinary, DefaultPolicyText},
    {"networked", NetworkedPolicyBinary, NetworkedPolicyText},
    {"none", NonePolicyBinary, NonePolicyText},
}};

absl::StatusOr<const Builtin*> Find(std::string_view name) {
  for (const Builtin& builtin : kBuiltins) {
    if (builtin.name == name) return &builtin;
  }
  return absl::NotFoundError(
      absl::StrCat("policy \"", name, "\": no such built-in; there are ", absl::StrJoin(BuiltinPolicyNames(), ", ")));
}

}  // namespace

absl::StatusOr<Policy> BuiltinPolicy(std::string_view name) {
  BROOD_ASSIGN_OR_RETURN(const Builtin* builtin, Find(name));
  return DecodePolicy(builtin->binary());
}

absl::StatusOr<std::string_view> BuiltinPolicyText(std::string_view name) {
  BROOD_ASSIGN_OR_RETURN(const Builtin* builtin, Find(name));
  return builtin->text();
}

std::vector<std::string_view> BuiltinPolicyNames() {
  std::vector<std::string_view> names;
  for (const Builtin& builtin : kBuiltins) names.push_back(builtin.name);
  return names;
}

}  // namespace brood
