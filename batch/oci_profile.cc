#include "batch/oci_profile.h"

#include "absl/algorithm/container.h"

namespace brood {

bool IsOciProfile(const JsonValue& value) {
  return value.kind == JsonValue::Kind::kObject &&
         absl::c_any_of(value.members, [](const JsonMember& member) { return member.name == "defaultAction"; });
}

}  // namespace brood
