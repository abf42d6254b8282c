#include "sandbox/address_text.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>

#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(AddressTextTest, ReadsWhatTheSystemsOwnFunctionReadsAndNothingElse) {
  for (const char* text :
       {"10.0.0.5", "0.0.0.0", "255.255.255.255", "256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.", "", " 1.2.3.4",
        "1.2.3.4 ", "+1.2.3.4", "0x1.2.3.4", "::", "::1", "1::", "fd00::1", "FD00::aB", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9", "1::2::3", ":1", "1:", ":::", "12345::", "g::", "::ffff:10.0.0.5", "::10.0.0.256", "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "1:2:3:4:5:6:1.2.3.4", "1.2.3.4::", "::1.2.3.4:5", "fe80::1%lo", "1:2"}) {
    std::array<uint8_t, 4> four = {};
    std::array<uint8_t, 16> six = {};
    const bool is_four = inet_pton(AF_INET, text, four.data()) == 1;
    const bool is_six = inet_pton(AF_INET6, text, six.data()) == 1;
    EXPECT_EQ(ParseInet4(text).has_value(), is_four) << text;
    EXPECT_EQ(ParseInet6(text).has_value(), is_six) << text;
    if (is_four) {
      EXPECT_EQ(ParseInet4(text).value_or(std::array<uint8_t, 4>{}), four) << text;
    }
    if (is_six) {
      EXPECT_EQ(ParseInet6(text).value_or(std::array<uint8_t, 16>{}), six) << text;
    }
  }
}

}  // namespace
}  // namespace brood
