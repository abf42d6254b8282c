#include "ipc/address.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace brood {

std::string Address::ToString() const {
  switch (family) {
    case Family::kUnixPath:
      return absl::StrCat("unix:", name);
    case Family::kUnixAbstract:
      return absl::StrCat("abstract:", absl::CHexEscape(name));
    case Family::kTcp:
      return name.find(':') == std::string::npos ? absl::StrCat("tcp:", name, ":", port)
                                                 : absl::StrCat("tcp:[", name, "]:", port);
    case Family::kPipe:
      return absl::StrCat("pipe:", name);
  }
  return "address of an unknown family";
}

}  // namespace brood
