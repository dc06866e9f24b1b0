/** A NestJS application with a gateway. On all cores: `node ../primary/primary.js dist/main.js`. */
import "reflect-metadata";
import { createAdapter } from "@holdfast/adapter";
import { type StickyWorker, setupWorker } from "@holdfast/sticky";
import { Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { IoAdapter } from "@nestjs/platform-socket.io";
import {
  type OnGatewayConnection,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer,
} from "@nestjs/websockets";
import type { Server, ServerOptions, Socket } from "socket.io";

class HoldfastIoAdapter extends IoAdapter {
  #sticky?: StickyWorker;

  override createIOServer(port: number, options?: ServerOptions): Server {
    const io: Server = super.createIOServer(port, options);
    io.adapter(createAdapter());
    this.#sticky = setupWorker(io);
    return io;
  }

  /** NestJS closes its servers when the application is closed, or a signal ends it. */
  override async close(io: Parameters<IoAdapter["close"]>[0]): Promise<void> {
    await this.#sticky?.drain();
    await super.close(io);
  }
}

@WebSocketGateway()
class Talk implements OnGatewayConnection {
  @WebSocketServer()
  readonly io!: Server;

  handleConnection(socket: Socket): void {
    socket.emit("worker", process.pid);
  }

  @SubscribeMessage("say")
  say(_: Socket, text: string): void {
    this.io.emit("said", text);
  }
}

@Module({ providers: [Talk] })
class App {}

async function main(): Promise<void> {
  const app = await NestFactory.create(App, { logger: ["warn", "error"] });
  app.useWebSocketAdapter(new HoldfastIoAdapter(app));
  app.enableShutdownHooks(["SIGINT", "SIGTERM", "SIGHUP"]);
  // The primary lets its workers go by closing their channel.
  process.on("disconnect", () => void app.close().then(() => process.exit()));
  await app.listen(process.env.PORT ?? 3000);
  console.log(`worker ${process.pid} is up`);
}

void main();
