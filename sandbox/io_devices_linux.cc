#include "sandbox/io_devices.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace brood {

std::vector<std::string> IoDevices() {
  std::vector<std::string> devices;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/block", error)) {
    std::string number;
    unsigned long long sectors = 0;
    std::ifstream(entry.path() / "size") >> sectors;
    std::ifstream(entry.path() / "dev") >> number;
    if (sectors > 0 && !number.empty()) devices.push_back(number);
  }
  std::sort(devices.begin(), devices.end());
  return devices;
}

}  // namespace brood
