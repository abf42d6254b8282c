// The disks of this machine, by the numbers that cgroups name them by.
#ifndef BROOD_SANDBOX_IO_DEVICES_H_
#define BROOD_SANDBOX_IO_DEVICES_H_

#include <string>
#include <vector>

namespace brood {

// "254:0" of each block device that has a size; partitions count as their disk. sysfs(5), /sys/block
std::vector<std::string> IoDevices();

}  // namespace brood

#endif  // BROOD_SANDBOX_IO_DEVICES_H_
