// The head of an HTTP/1.x message (RFC 9112, sections 2 to 5 and 9.3), as both parsers read it: up to its empty line,
// line by line, field by field. Pure; the texts of faults hold nothing of the peer's.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::rpc {

struct HeadFormat {
  std::string_view message;  // "request" or "response", for the texts of faults; a literal
  size_t bytes;              // the most in the start line and all fields
  size_t fields;             // the most
};

struct HeadFault {
  int status;  // what a server answers with
  std::string reason;
};

struct HeadPart {
  size_t taken = 0;
  bool complete = false;           // then `head` is without its empty line
  std::optional<HeadFault> fault;  // then no more may come
};

// Adds to `head` what belongs to it of the bytes that came next.
HeadPart TakeHead(std::string_view bytes, const HeadFormat& format, std::string& head);

// The lines of a complete head, the start line first. The head outlives it.
class HeadLines {
 public:
  HeadLines(std::string_view head, const HeadFormat& format) : rest_(head), format_(format) {}

  // nullopt at the end, and when there is a fault.
  std::optional<std::string_view> Next();
  // Whether Next() gave the start line and nothing else yet.
  bool at_start() const { return lines_ == 1; }
  const std::optional<HeadFault>& fault() const { return fault_; }

 private:
  std::string_view rest_;
  const HeadFormat format_;
  size_t lines_ = 0;
  std::optional<HeadFault> fault_;
};

struct HeadField {
  std::string_view name;   // in any case
  std::string_view value;  // without the space around it
};

// nullopt: no field line.
std::optional<HeadField> SplitField(std::string_view line);

// The value of a Content-Length; nullopt unless it is digits alone, of a number that fits.
std::optional<size_t> ReadContentLength(std::string_view value);

// What the fields Connection say.
class Persistence {
 public:
  void Add(std::string_view value);
  bool KeepsAlive(bool http_1_0) const { return !close_ && (!http_1_0 || keep_alive_); }

 private:
  bool close_ = false;
  bool keep_alive_ = false;
};

}  // namespace bulkhead::rpc
