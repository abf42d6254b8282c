#include "absl/strings/str_cat.h"
#include "launcher/server_policy.h"

namespace brood {

absl::StatusOr<Policy> PolicyOfServer(const std::string& path, std::optional<uint32_t> /*server_uid*/) {
  return absl::UnimplementedError(absl::StrCat("server ", path, ": there is no brood serve on Windows, which has no fork"));
}

}  // namespace brood
