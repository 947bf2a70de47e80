#include "policy/expr/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "runner/base/text.h"

namespace bulkhead::expr {

namespace {

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
bool IsWordStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}
bool IsWordPart(char c) {
  return IsWordStart(c) || IsDigit(c);
}
int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void AppendRune(uint32_t rune, std::string& out) {
  const auto byte = [&out](uint32_t bits) { out += static_cast<char>(static_cast<unsigned char>(bits)); };
  if (rune < 0x80) {
    byte(rune);
  } else if (rune < 0x800) {
    byte(0xC0U | (rune >> 6U));
    byte(0x80U | (rune & 0x3FU));
  } else if (rune < 0x10000) {
    byte(0xE0U | (rune >> 12U));
    byte(0x80U | ((rune >> 6U) & 0x3FU));
    byte(0x80U | (rune & 0x3FU));
  } else {
    byte(0xF0U | (rune >> 18U));
    byte(0x80U | ((rune >> 12U) & 0x3FU));
    byte(0x80U | ((rune >> 6U) & 0x3FU));
    byte(0x80U | (rune & 0x3FU));
  }
}

// Longest first, as the first that fits is taken.
constexpr std::array<std::string_view, 42> kOperators = {
    "===", "!==", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "**", "..", "=~", "!~",
    "::",  "->",  "<",  ">",  "!",  "?",  ":",  "+",  "-",  "*",  "/",  "%",  "^",  "|",
    "&",   "(",   ")",  "[",  "]",  "{",  "}",  ",",  ".",  ";",  "=",  "@",  "~",  "\\"};

class Lexer {
 public:
  Lexer(std::string_view source, Dialect dialect, std::vector<Finding>& findings)
      : source_(source), dialect_(dialect), findings_(findings) {}

  std::vector<Token> Run() {
    while (ok_) {
      SkipSpace();
      if (!ok_) break;
      if (at_ >= source_.size()) {
        tokens_.push_back({TokenKind::kEnd, static_cast<uint32_t>(source_.size()), 0, "", 0, 0});
        break;
      }
      Next();
    }
    return std::move(tokens_);
  }

 private:
  char Peek(size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
  bool Starts(std::string_view text) const { return source_.substr(at_).starts_with(text); }

  void Fail(size_t offset, size_t length, std::string message) {
    ok_ = false;
    length = std::min(length, source_.size() - offset);
    findings_.push_back({"E067", static_cast<uint32_t>(offset), static_cast<uint32_t>(length), std::move(message), ""});
  }

  Token& Add(TokenKind kind, size_t begin) {
    Token token;
    token.kind = kind;
    token.offset = static_cast<uint32_t>(begin);
    token.length = static_cast<uint32_t>(at_ - begin);
    tokens_.push_back(std::move(token));
    return tokens_.back();
  }

  void SkipSpace() {
    while (at_ < source_.size()) {
      const char c = Peek();
      if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
        ++at_;
      } else if (Starts("//")) {
        at_ = std::min(source_.find('\n', at_), source_.size());
      } else if (dialect_ == Dialect::kExpr && Starts("/*")) {
        const size_t end = source_.find("*/", at_ + 2);
        if (end == std::string_view::npos) {
          Fail(at_, 2, "this comment has no end; write */ behind it");
          return;
        }
        at_ = end + 2;
      } else {
        return;
      }
    }
  }

  void Next() {
    const char c = Peek();
    if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) return Number();
    if (c == '"' || c == '\'') return Quoted(at_, /*raw=*/false, TokenKind::kString);
    if (c == '`') return Backtick();
    if (dialect_ == Dialect::kCel && Prefixed()) return;
    if (IsWordStart(c)) return Word();
    if (c == '#') return Pointer();
    for (const std::string_view candidate : kOperators) {
      if (!Starts(candidate)) continue;
      // "a ?.5 : b" is a conditional with a number.
      if (candidate == "?." && IsDigit(Peek(2))) continue;
      const size_t begin = at_;
      at_ += candidate.size();
      Add(TokenKind::kOperator, begin).text = candidate;
      return;
    }
    // A whole character, so that the message is valid UTF-8.
    size_t length = 1;
    while (at_ + length < source_.size() && (static_cast<unsigned char>(source_[at_ + length]) & 0xC0U) == 0x80U)
      ++length;
    Fail(at_, length,
         "unexpected character " + EscapeForTerminal(source_.substr(at_, length)) + " outside of a string");
  }

  void Word() {
    const size_t begin = at_;
    while (IsWordPart(Peek())) ++at_;
    Add(TokenKind::kWord, begin).text = source_.substr(begin, at_ - begin);
  }

  void Pointer() {
    const size_t begin = at_++;
    while (IsWordPart(Peek())) ++at_;
    Add(TokenKind::kPointer, begin).text = source_.substr(begin + 1, at_ - begin - 1);
  }

  // CEL's r"..." and b"...", in any order and case.
  bool Prefixed() {
    bool raw = false;
    bool bytes = false;
    size_t length = 0;
    for (; length < 2; ++length) {
      const char c = Peek(length);
      if ((c == 'r' || c == 'R') && !raw) {
        raw = true;
      } else if ((c == 'b' || c == 'B') && !bytes) {
        bytes = true;
      } else {
        break;
      }
    }
    if (length == 0 || (Peek(length) != '"' && Peek(length) != '\'')) return false;
    const size_t begin = at_;
    at_ += length;
    Quoted(begin, raw, bytes ? TokenKind::kBytes : TokenKind::kString);
    return true;
  }

  void Number() {
    const size_t begin = at_;
    std::string digits;
    int base = 10;
    if (Peek() == '0') {
      const char mark = static_cast<char>(Peek(1) | 0x20);
      const bool expr = dialect_ == Dialect::kExpr;
      base = mark == 'x' ? 16 : expr && mark == 'b' ? 2 : expr && mark == 'o' ? 8 : 10;
      if (base != 10) at_ += 2;
    }
    bool real = false;
    for (;; ++at_) {
      const char c = Peek();
      if (c == '_' && dialect_ == Dialect::kExpr) continue;
      if (base != 10 ? HexDigit(c) >= 0 : IsDigit(c)) {
        digits += c;
      } else if (base == 10 && c == '.' && !real && IsDigit(Peek(1))) {
        real = true;
        digits += c;
      } else if (base == 10 && (c == 'e' || c == 'E') && Exponent()) {
        real = true;
        digits += source_.substr(at_, Peek(1) == '+' || Peek(1) == '-' ? 2 : 1);
        at_ += Peek(1) == '+' || Peek(1) == '-' ? 1 : 0;
        for (++at_; IsDigit(Peek()); ++at_) digits += Peek();
        break;
      } else {
        break;
      }
    }
    if ((Peek() == 'u' || Peek() == 'U') && dialect_ == Dialect::kCel && !IsWordPart(Peek(1))) {
      return Fail(begin, at_ + 1 - begin, "unsigned integers are not supported; write it without the u");
    }
    if (IsWordPart(Peek())) return Fail(begin, at_ + 1 - begin, "a number must be followed by a space or an operator");
    Finish(begin, base, real, digits);
  }

  bool Exponent() const { return IsDigit(Peek(1)) || ((Peek(1) == '+' || Peek(1) == '-') && IsDigit(Peek(2))); }

  void Finish(size_t begin, int base, bool real, const std::string& digits) {
    const char* const end = digits.data() + digits.size();
    Token& token = Add(real ? TokenKind::kDouble : TokenKind::kInt, begin);
    const auto parsed = real ? std::from_chars(digits.data(), end, token.number)
                             : std::from_chars(digits.data(), end, token.magnitude, base);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
      Fail(begin, at_ - begin, "this number does not fit: ints have 64 bits, doubles end near 1.8e308");
    }
  }

  void Backtick() {
    const size_t begin = at_;
    const size_t end = source_.find('`', at_ + 1);
    if (end == std::string_view::npos) return Fail(begin, 1, "this string has no end; write ` behind it");
    at_ = end + 1;
    Token& token = Add(TokenKind::kString, begin);
    token.text = source_.substr(begin + 1, end - begin - 1);
    if (dialect_ == Dialect::kCel) {
      std::string quoted;
      AppendJsonString(token.text, quoted);
      findings_.push_back({"E065", token.offset, token.length, "strings have \" or ' around them here, not backticks",
                           std::move(quoted)});
    }
  }

  void Quoted(size_t begin, bool raw, TokenKind kind) {
    const char quote = Peek();
    const std::string triple(3, quote);
    const bool is_triple = dialect_ == Dialect::kCel && Starts(triple);
    const std::string_view closing = std::string_view(triple).substr(0, is_triple ? 3 : 1);
    at_ += closing.size();
    std::string text;
    while (!Starts(closing)) {
      if (at_ >= source_.size() || (Peek() == '\n' && !is_triple)) {
        return Fail(begin, closing.size(), "this string has no end; write " + std::string(closing) + " behind it");
      }
      if (Peek() == '\\' && raw) {
        // A raw string keeps the backslash, and what follows it cannot end the string.
        text += source_.substr(at_, 2);
        at_ = std::min(at_ + 2, source_.size());
      } else if (Peek() == '\\') {
        if (!Escape(kind, text)) return;
      } else {
        text += Peek();
        ++at_;
      }
    }
    at_ += closing.size();
    Add(kind, begin).text = std::move(text);
  }

  // `digits` digits of `base` at at_, which moves on.
  std::optional<uint32_t> Digits(size_t digits, int base) {
    uint32_t number = 0;
    for (size_t i = 0; i < digits; ++i, ++at_) {
      const int digit = HexDigit(Peek());
      if (digit < 0 || digit >= base) return std::nullopt;
      number = number * static_cast<uint32_t>(base) + static_cast<uint32_t>(digit);
    }
    return number;
  }

  bool Escape(TokenKind kind, std::string& text) {
    constexpr std::string_view kMarks = "abfnrtv\\'\"`?";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"`?";
    const size_t begin = at_++;
    const char mark = Peek();
    if (const size_t simple = kMarks.find(mark); mark != '\0' && simple != std::string_view::npos) {
      ++at_;
      text += kMeanings[simple];
      return true;
    }
    const bool octal = mark >= '0' && mark <= '3';
    const size_t digits = octal ? 3 : mark == 'x' || mark == 'X' ? 2 : mark == 'u' ? 4 : mark == 'U' ? 8 : 0;
    if (digits != 0) {
      if (!octal) ++at_;
      const bool bytes = kind == TokenKind::kBytes;
      const auto rune = bytes && digits > 3 ? std::nullopt : Digits(digits, octal ? 8 : 16);
      if (rune.has_value() && *rune <= 0x10FFFF && (*rune < 0xD800 || *rune > 0xDFFF)) {
        if (bytes) {
          text += static_cast<char>(static_cast<unsigned char>(*rune));
        } else {
          AppendRune(*rune, text);
        }
        return true;
      }
    }
    Fail(begin, 2,
         "no such escape; there are \\n \\r \\t \\\\ \\\" \\' \\xHH \\uHHHH \\UHHHHHHHH \\OOO and a few more of C");
    return false;
  }

  const std::string_view source_;
  const Dialect dialect_;
  std::vector<Finding>& findings_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace

std::vector<Token> Tokenize(std::string_view source, Dialect dialect, std::vector<Finding>& findings) {
  return Lexer(source, dialect, findings).Run();
}

}  // namespace bulkhead::expr
