#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "batch/file_identity.h"

namespace brood {

// By name: no two spellings of one, whose case does not count, are different, but a file's other names and links are.
std::vector<std::string> IdentitiesOf(const std::string& path, LastLink) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) return {};
  const std::filesystem::path whole = std::filesystem::weakly_canonical(path, error);
  const std::string name = absl::AsciiStrToLower(whole.filename().string());
  if (error || name == "nul" || name == "con") return {};
  return {absl::AsciiStrToLower(whole.string())};
}

std::vector<std::string> IdentitiesOfDescriptor(int) { return {}; }

}  // namespace brood
