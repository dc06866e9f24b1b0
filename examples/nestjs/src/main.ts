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
  sticky?: StickyWorker;

  override createIOServer(port: number, options?: ServerOptions): Server {
    const io: Server = super.createIOServer(port, options);
    io.adapter(createAdapter());
    this.sticky = setupWorker(io);
    return io;
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
  const sockets = new HoldfastIoAdapter(app);
  app.useWebSocketAdapter(sockets);
  await app.listen(process.env.PORT ?? 3000);
  console.log(`worker ${process.pid} is up`);

  const end = async () => {
    await sockets.sticky?.drain();
    await app.close();
    process.exit();
  };
  for (const event of ["disconnect", "SIGINT", "SIGTERM", "SIGHUP"]) process.on(event, end);
}

void main();
