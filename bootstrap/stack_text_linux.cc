#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/debugging/internal/symbolize.h"
#include "absl/debugging/symbolize.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "bootstrap/throw_site.h"

namespace brood {
namespace internal {
namespace {

constexpr size_t kMaxText = 16 << 10;

struct Place {
  uintptr_t address;
  std::string module;
  uintptr_t offset;
};

std::string OwnName() {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
  return size > 0 ? std::string(path, static_cast<size_t>(size)) : "program";
}

int FindModule(dl_phdr_info* info, size_t /*size*/, void* arg) {
  auto* const place = static_cast<Place*>(arg);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    const uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    if (segment.p_type != PT_LOAD || place->address < begin || place->address >= begin + segment.p_memsz) continue;
    // The main program has no name in this list. dl_iterate_phdr(3)
    place->module = info->dlpi_name[0] != '\0' ? info->dlpi_name : OwnName();
    place->offset = place->address - info->dlpi_addr;
    return 1;
  }
  return 0;
}

// In a sandbox nothing has the path that /proc/self/maps gives for this program. Abseil then tries /proc/self/exe, but only
// if the code's mapping begins with the file's header, which depends on the linker: gold puts both into one segment, others
// do not ("-z separate-code" of ld(1)). So we say which file it is.
int HintAtOwnCode(dl_phdr_info* info, size_t /*size*/, void* /*arg*/) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    const uintptr_t begin = (info->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const uintptr_t end = (info->dlpi_addr + segment.p_vaddr + segment.p_memsz + page - 1) & ~(page - 1);
    absl::debugging_internal::RegisterFileMappingHint(reinterpret_cast<void*>(begin), reinterpret_cast<void*>(end),
                                                      segment.p_offset & ~(page - 1), "/proc/self/exe");
  }
  return 1;  // The main program is the first in this list. dl_iterate_phdr(3)
}

// The outermost frames are those by which brood called the function.
bool IsBroods(std::string_view line) {
  return absl::StrContains(line, "brood::internal::") || absl::StartsWith(line, "std::_Function_handler<");
}

// The call that throws. It and what is further in were left out already, unless something interposes the C++ runtime as
// AddressSanitizer does: the function that runs then is not the one whose address we know.
bool IsThrow(std::string_view line) {
  return absl::StartsWith(line, "__cxa_throw ") || absl::StartsWith(line, "__cxa_rethrow ") ||
         absl::StartsWith(line, "std::rethrow_exception(");
}

std::string FrameText(void* frame) {
  char symbol[512];
  const bool known = absl::Symbolize(frame, symbol, sizeof(symbol));
  Place place = {.address = reinterpret_cast<uintptr_t>(frame), .module = "", .offset = 0};
  if (dl_iterate_phdr(FindModule, &place) == 0) place.offset = place.address;
  const std::string_view module = std::string_view(place.module).substr(place.module.rfind('/') + 1);
  return absl::StrCat(known ? symbol : "", known ? " " : "", "(", module, "+0x", absl::Hex(place.offset), ")\n");
}

}  // namespace

std::string StackText(const ThrowSite& site) {
  constexpr std::string_view kCut = "...\n";
  [[maybe_unused]] static const int hinted = dl_iterate_phdr(HintAtOwnCode, nullptr);
  std::vector<std::string> lines;
  size_t size = kCut.size();
  for (size_t i = 0; i < site.count; ++i) {
    std::string line = FrameText(site.frames[i]);
    size += line.size();
    if (size > kMaxText) break;
    lines.push_back(std::move(line));
  }
  const bool cut = site.cut || lines.size() < site.count;
  lines.erase(lines.begin(), std::find_if(lines.rbegin(), lines.rend(), IsThrow).base());
  if (cut) return absl::StrCat(absl::StrJoin(lines, ""), kCut);
  while (!lines.empty() && IsBroods(lines.back())) lines.pop_back();
  return absl::StrJoin(lines, "");
}

}  // namespace internal
}  // namespace brood
