// The public agent server has no flag for the address it listens on. Loaded before it, this keeps it off every network.
const { Server } = require("node:net");

const listen = Server.prototype.listen;

Server.prototype.listen = function (where, ...rest) {
  if (typeof where === "number") return listen.call(this, { port: where, host: "127.0.0.1" }, ...rest.filter((one) => typeof one === "function"));
  if (typeof where === "object" && where !== null && "port" in where) return listen.call(this, { ...where, host: "127.0.0.1" }, ...rest);
  return listen.call(this, where, ...rest); // a socket in the file system
};
