#include <cwctype>
#include <filesystem>
#include <system_error>

#include "base/windows_text.h"
#include "batch/file_identity.h"

namespace brood {

// By name: no two spellings of one, whose case does not count, are different, but a file's other names are.
std::vector<std::string> IdentitiesOf(const std::string& path, LastLink) {
  const absl::StatusOr<std::wstring> wide = ToWide(path, "path");
  if (!wide.ok()) return {};
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(*wide, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) return {};
  const std::filesystem::path whole = std::filesystem::weakly_canonical(*wide, error);
  if (error) return {};
  std::wstring name = whole.native();
  for (wchar_t& c : name) c = static_cast<wchar_t>(std::towlower(static_cast<std::wint_t>(c)));
  for (const std::wstring_view device : {L"nul", L"con"}) {
    if (name == device || name.ends_with(std::wstring(L"\\").append(device))) return {};
  }
  return {ToUtf8(name)};
}

std::vector<std::string> IdentitiesOfDescriptor(int) { return {}; }

}  // namespace brood
